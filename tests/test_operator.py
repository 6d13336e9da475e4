"""The base operator: the run's window in every template, and every error a fault that is kept."""

from __future__ import annotations

import contextvars
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, Context
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout, TaskDeferred

from sluicegate.faults import FaultError, FaultRetryPolicy, fault
from sluicegate.faults.report import LAST_ERROR
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.marks import RUN_XCOM_KEY
from sluicegate.runtime.operator import StepOperator, run_window
from sluicegate.runtime.step import StepContext, StepResult
from tests.fresh import FreshAirflow

START, END = datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 12, tzinfo=UTC)


class Recording(StepOperator):
    """Does what it is told and remembers what it saw."""

    template_fields = ("source", "nested", "words")

    def __init__(self, *, source: Any = None, nested: Any = None, words: Any = None, act: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.source, self.nested, self.words, self.act = source, nested, words, act
        self.seen: StepContext | None = None

    def run(self, context: Context, step: StepContext) -> StepResult:
        self.seen = step
        return StepResult(self.act() if self.act else "done", "all is well")

    def resumed(self, context: Context, event: str) -> StepResult:
        if event == "failed":
            raise ConnectionResetError("reset")
        return StepResult(event, "all is well")


class Store(dict[str, Any]):
    """Airflow's task state store, as far as it is used."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class TaskInstance(SimpleNamespace):
    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def context(*, try_number: int = 1, **more: Any) -> Any:
    return {
        "ti": TaskInstance(try_number=try_number, map_index=None, xcoms={}),
        "run_id": "manual__1",
        "params": {},
        "ds": "2099-12-31",
        "data_interval_start": START,
        "data_interval_end": END,
        "task_state_store": Store(),
        **more,
    }


def within_a_task(step: BaseOperator, call: Callable[[], Any]) -> Any:
    """Airflow lets a task be executed by its runner alone."""
    runner = contextvars.copy_context()
    runner.run(ExecutorSafeguard.tracker.set, step)
    return runner.run(call)


def execute(step: StepOperator, surroundings: Any) -> Any:
    return within_a_task(step, lambda: step.execute(surroundings))


@pytest.fixture(autouse=True)
def dag() -> Iterator[DAG]:
    with DAG("orders", schedule=None) as found:
        yield found


def test_a_step_knows_its_run() -> None:
    step = Recording(task_id="load")
    surroundings = context(try_number=2, params={"carrier": "UA", "force": True})
    assert execute(step, surroundings) == "done"
    seen = step.seen
    assert seen is not None
    assert (seen.pipeline, seen.step, seen.run_id) == ("orders", "load", "manual__1")
    assert (seen.try_number, seen.map_index) == (2, -1)
    assert (seen.window.start, seen.window.end) == (START, END)
    assert (seen.dry_run, seen.force) == (False, True)
    assert seen.params["carrier"] == "UA"
    assert seen.store is surroundings["task_state_store"]


@pytest.mark.parametrize("resumed", [False, True])
def test_what_a_step_reports_is_its_xcom_and_a_line_in_its_log(resumed: bool, caplog: pytest.LogCaptureFixture) -> None:
    step, surroundings = Recording(task_id="load"), context()
    with caplog.at_level("INFO"):
        if resumed:
            value = within_a_task(step, lambda: step.resume_execution("resumed", {"event": "done"}, surroundings))
        else:
            value = execute(step, surroundings)
    assert value == "done"
    assert "all is well" in caplog.messages
    assert RUN_XCOM_KEY in surroundings["ti"].xcoms


@pytest.mark.parametrize(("page", "shown"), [("all_regions", "all_regions"), ("", "orders_eu")])
def test_the_log_points_to_the_page_of_the_dag(page: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    with PipelineDAG(
        "orders_eu", schedule=None, playbook=page, doc_md="The orders.\n\n## CODE_BROKEN\n\nAsk the shop."
    ):
        step = Recording(task_id="load", act=lambda: 1 / 0)
    with pytest.raises(FaultError):
        execute(step, context())
    assert f"playbooks/{shown}.md#code_broken" in caplog.text


def test_a_step_works_in_a_dag_written_by_hand() -> None:
    surroundings = context()
    for name in ("params", "task_state_store"):
        del surroundings[name]
    assert execute(Recording(task_id="load", pipeline="by_hand"), surroundings) == "done"


@pytest.mark.parametrize("value", ["true", "false", 1, 0])
def test_a_flag_that_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(FaultError) as caught:
        execute(Recording(task_id="load"), context(params={"dry_run": value}))
    assert caught.value.code == "WRONG_USE"


def test_a_run_without_an_interval_has_an_empty_window_at_its_time() -> None:
    surroundings = context(dag_run=SimpleNamespace(run_after=END, data_interval_start=None, data_interval_end=None))
    del surroundings["data_interval_start"], surroundings["data_interval_end"]
    step = Recording(task_id="load", words="{{ ds }}")
    step.render_template_fields(surroundings)
    execute(step, surroundings)
    assert step.seen is not None
    assert step.seen.window.start == step.seen.window.end == END
    assert step.words == "2013-02-12"


def test_a_run_without_any_time_is_refused() -> None:
    with pytest.raises(FaultError) as caught:
        execute(Recording(task_id="load"), {**context(), "data_interval_start": None})
    assert caught.value.code == "WRONG_USE"


def test_templates_have_our_window_and_the_day_it_starts() -> None:
    step = Recording(
        task_id="load", words="{{ window.start.hour }} {{ window.end.isoformat() }} {{ ds }} {{ params.x }}"
    )
    surroundings = context(params={"x": 3})
    step.render_template_fields(surroundings)
    assert step.words == "0 2013-02-12T00:00:00+00:00 2013-02-11 3"
    assert surroundings["ds"] == "2099-12-31"
    assert "window" not in surroundings


def test_the_day_is_the_one_of_the_schedules_time_zone() -> None:
    midnight = {
        "data_interval_start": datetime(2013, 2, 10, 23, tzinfo=UTC),
        "data_interval_end": datetime(2013, 2, 11, 23, tzinfo=UTC),
    }
    step = Recording(
        task_id="load",
        timezone="Europe/Berlin",
        words="{{ ds }}",
        source=Location("orders", "{{ ds }}.csv", timezone="Europe/Berlin"),
    )
    surroundings = context(**midnight)
    step.render_template_fields(surroundings)
    execute(step, surroundings)
    assert (step.words, step.source) == ("2013-02-11", "2013-02-11.csv")
    assert step.seen is not None
    assert step.seen.window.ds == "2013-02-11"


def test_locations_are_rendered_wherever_they_stand() -> None:
    hourly = Schedule(kind="cron", cron="0 */12 * * *", start=datetime(2013, 1, 1, tzinfo=UTC))
    step = Recording(
        task_id="load",
        source=Location("orders", "s3://l/{{ ds }}-{{ params.x }}.csv"),
        nested={
            "many": Location("flights.raw", "s3://l/{{ window.start.hour }}.csv", upstream=hourly),
            "list": ["{{ ds }}"],
        },
    )
    step.render_template_fields(context(params={"x": "UA"}))
    assert step.source == "s3://l/2013-02-11-UA.csv"
    assert step.nested == {"many": ["s3://l/0.csv", "s3://l/12.csv"], "list": ["2013-02-11"]}


@pytest.mark.parametrize("broken", ["{{ nobody.knows }}", "{{ unclosed", Location("orders", "s3://l/{{ nobody }}")])
def test_a_template_that_cannot_be_rendered_is_a_fault_that_is_kept(broken: object) -> None:
    surroundings = context()
    with pytest.raises(FaultError) as caught:
        Recording(task_id="load", source=broken).render_template_fields(surroundings)
    assert caught.value.code == "WRONG_USE"
    assert surroundings["task_state_store"][LAST_ERROR]["code"] == "WRONG_USE"


def test_a_mapped_step_is_rendered_the_same_way() -> None:
    place = Location("orders", "s3://l/{{ ds }}.csv")
    mapped = Recording.partial(task_id="load", source=place).expand(words=["{{ ds }}"])
    step = mapped.unmap({"words": "{{ ds }} {{ window.end.day }}"})
    # As MappedOperator.render_template_fields does: not through the step's own.
    step._do_render_template_fields(step, step.template_fields, context(), step.get_template_env(), set())
    assert (step.source, step.words) == ("s3://l/2013-02-11.csv", "2013-02-11 12")


def test_an_error_comes_out_as_a_fault_and_is_kept() -> None:
    def act() -> None:
        raise ConnectionRefusedError("no")

    surroundings = context()
    with pytest.raises(FaultError) as caught:
        execute(Recording(task_id="load", act=act), surroundings)
    assert caught.value.code == "NETWORK"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert surroundings["task_state_store"][LAST_ERROR]["code"] == "NETWORK"


def test_a_success_forgets_the_error_of_an_earlier_try() -> None:
    surroundings = context(try_number=2)
    surroundings["task_state_store"][LAST_ERROR] = {"code": "NETWORK"}
    surroundings["task_state_store"]["finished_attempt"] = 1
    execute(Recording(task_id="load"), surroundings)
    assert surroundings["task_state_store"] == {"finished_attempt": 1}


def test_rendering_alone_does_not_forget_it() -> None:
    surroundings = context(try_number=2)
    surroundings["task_state_store"][LAST_ERROR] = {"code": "NETWORK"}
    Recording(task_id="load", words="{{ ds }}").render_template_fields(surroundings)
    assert LAST_ERROR in surroundings["task_state_store"]


@pytest.mark.parametrize(
    "control", [AirflowSkipException("s"), TaskDeferred(trigger=None, method_name="resumed"), SystemExit(1)]
)
def test_control_flow_passes(control: BaseException) -> None:
    def act() -> None:
        raise control

    surroundings = context()
    with pytest.raises(type(control)):
        execute(Recording(task_id="load", act=act), surroundings)
    assert surroundings["task_state_store"] == {}


def test_a_timeout_is_a_fault_and_what_the_step_has_started_is_ended() -> None:
    def act() -> None:
        raise AirflowTaskTimeout("Timeout")

    class Starting(Recording):
        ended = 0

        def on_kill(self) -> None:
            Starting.ended += 1

    surroundings = context()
    with pytest.raises(FaultError) as caught:
        execute(Starting(task_id="load", act=act), surroundings)
    assert (caught.value.code, Starting.ended) == ("TIMED_OUT", 1)
    assert surroundings["task_state_store"][LAST_ERROR]["code"] == "TIMED_OUT"


def test_what_a_trigger_resumes_is_treated_the_same() -> None:
    step = Recording(task_id="load")
    assert step.resume_execution("resumed", {"event": "done"}, context()) == "done"
    surroundings = context()
    with pytest.raises(FaultError) as caught:
        step.resume_execution("resumed", {"event": "failed"}, surroundings)
    assert caught.value.code == "NETWORK"
    assert surroundings["task_state_store"][LAST_ERROR]["code"] == "NETWORK"


@pytest.mark.parametrize(("error", "code"), [("Trigger timeout", "TIMED_OUT"), ("Trigger failure", "UNKNOWN")])
def test_a_trigger_that_failed_is_a_fault(error: str, code: str) -> None:
    with pytest.raises(FaultError) as caught:
        Recording(task_id="load").resume_execution("__fail__", {"error": error}, context())
    assert caught.value.code == code


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_success_says_what_those_who_wait_need_to_know(dry_run: bool) -> None:
    surroundings = context(params={"dry_run": dry_run})
    execute(Recording(task_id="load"), surroundings)
    marked = surroundings["ti"].xcoms[RUN_XCOM_KEY]
    assert marked == {"window": str(run_window(surroundings)), "dry_run": dry_run}
    resumed = context(params={"dry_run": dry_run})
    Recording(task_id="again").resume_execution("resumed", {"event": "done"}, resumed)
    assert resumed["ti"].xcoms[RUN_XCOM_KEY] == marked


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_step_that_skips_itself_says_whether_that_was_in_a_dry_run(dry_run: bool) -> None:
    def act() -> None:
        raise AirflowSkipException("nothing to do")

    surroundings = context(params={"dry_run": dry_run})
    with pytest.raises(AirflowSkipException):
        execute(Recording(task_id="load", act=act), surroundings)
    assert surroundings["ti"].xcoms[RUN_XCOM_KEY]["dry_run"] is dry_run


def test_a_failure_in_a_dry_run_is_not_marked() -> None:
    def act() -> None:
        raise fault("SOURCE_MISSING")

    surroundings = context(params={"dry_run": True})
    with pytest.raises(FaultError):
        execute(Recording(task_id="load", act=act), surroundings)
    assert RUN_XCOM_KEY not in surroundings["ti"].xcoms


def test_the_catalogue_decides_on_retries_between_the_tasks_own_pauses() -> None:
    step = Recording(task_id="load", retry_delay=timedelta(seconds=5), max_retry_delay=timedelta(minutes=1))
    assert step.retry_policy == FaultRetryPolicy(timedelta(seconds=5), timedelta(minutes=1))


def test_a_policy_of_ones_own_stays() -> None:
    own = FaultRetryPolicy(timedelta(seconds=1), timedelta(seconds=2))
    assert Recording(task_id="a", retry_policy=own).retry_policy is own
    with DAG("others", default_args={"retry_policy": own}):
        assert Recording(task_id="b").retry_policy is own


def test_nothing_heavy_is_imported_with_the_operators(fresh: FreshAirflow) -> None:
    code = """
import sys
import sluicegate.runtime.operator, sluicegate.transform, sluicegate.storage, sluicegate.faults
heavy = {"duckdb", "pandas", "pyarrow", "boto3", "botocore", "psycopg", "great_expectations", "numpy"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    found = fresh.run(code)
    found.check_returncode()
    assert found.stdout.strip().splitlines()[-1] == "[]"


def test_the_command_line_classifies_without_airflow() -> None:
    code = "import sys, sluicegate.faults as f; f.classify(OSError()); print('airflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
