from __future__ import annotations

import contextlib
import json
import re
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.comms import _RequestFrame
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG

from sluicegate.emr.operator import SparkOperator
from sluicegate.factory.attempt import build_diagnostics
from sluicegate.factory.build import build_dag
from sluicegate.factory.unplaced import BuildError
from sluicegate.faults.retry import FaultRetryPolicy
from sluicegate.load.operator import LoadOperator
from sluicegate.pipeline import PipelineErrors, read_together
from sluicegate.pipeline.keys.model import Mode
from sluicegate.runtime.marks import RUN_XCOM_KEY
from sluicegate.transform.operator import TransformOperator
from sluicegate.transform.python import PythonStepOperator
from sluicegate.wait.sensor import SourceSensor, UpstreamSensor
from tests.factory.files import DELAYS, FLIGHTS, dags_of, write

EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
HEAD = 'sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01}\n'


def dag_of(root: Path, text: str, name: str = "it", **others: str) -> DAG:
    write(root, **{name: text}, **others)
    dag = dags_of(root, f"{name}.yaml")[0]
    dag.validate()
    return dag


def edges(dag: DAG) -> set[tuple[str, str]]:
    return {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids}


def test_the_data_decides_the_edges(root: Path) -> None:
    text = HEAD + (
        "datasets: {raw: 's3://b/raw/{{ ds }}/', clean: 's3://b/clean/{{ ds }}/'}\n"
        "steps:\n"
        "  last: {load: clean, into: 'table://w/t'}\n"
        f"  first: {{{EMPTY}, writes: raw}}\n"
        f"  middle: {{{EMPTY}, reads: raw, writes: clean}}\n"
        f"  apart: {{{EMPTY}, after: first}}\n"
    )
    assert edges(dag_of(root, text)) == {("first", "middle"), ("middle", "last"), ("first", "apart")}


def test_a_run_waits_for_the_step_that_writes_what_it_reads(root: Path) -> None:
    dag = dag_of(root, DELAYS, "delays", flights=FLIGHTS)
    assert edges(dag) == {("wait_for__flights__fetch", "load_delays")}
    sensor = dag.get_task("wait_for__flights__fetch")
    assert isinstance(sensor, UpstreamSensor)
    assert sensor.retries >= 2
    assert sensor.wait is None
    assert not sensor.fail_fast


def test_a_source_is_waited_for_only_when_the_file_says_so(root: Path) -> None:
    steps = (
        "datasets: {lookup: 's3://b/lookup.csv'}\n"
        "steps:\n"
        "  one: {load: 's3://b/{{ ds }}.csv', into: 'table://w/one', wait: 6h}\n"
        "  two: {load: lookup, into: 'table://w/two', wait: 1h}\n"
        "  three: {load: lookup, into: 'table://w/three', wait: 2h}\n"
        "  four: {load: 's3://b/x.csv', into: 'table://w/four'}\n"
    )
    dag = dag_of(root, HEAD + steps)
    assert edges(dag) == {
        ("wait_for__one", "one"),
        ("wait_for__lookup", "two"),
        ("wait_for__lookup", "three"),
    }
    sensor = dag.get_task("wait_for__lookup")
    assert isinstance(sensor, SourceSensor)
    assert sensor.wait == timedelta(hours=2)


def test_a_dag_that_is_not_ours_is_waited_for(root: Path) -> None:
    dag = dag_of(root, HEAD + "steps: {a: {load: 's3://b/c.pq', into: 'table://w/t', after: {dag: old, task: export}}}")
    assert edges(dag) == {("wait_for__old__export", "a")}


def test_the_schedule_is_explicit(root: Path) -> None:
    dag = dag_of(root, FLIGHTS, "flights")
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert dag.catchup is True
    assert dag.start_date == datetime(2013, 2, 11, tzinfo=UTC)
    assert dag.end_date == datetime(2013, 2, 14, tzinfo=UTC) - timedelta(microseconds=1)
    assert dag.max_active_runs == 16


def test_what_the_file_says_of_the_dag_arrives(root: Path) -> None:
    text = FLIGHTS + "paused: false\nmax_active_runs: 3\ndag: {fail_fast: true}\n"
    dag = dag_of(root, text, "flights")
    assert dag.dag_id == "flights"
    assert dag.description == "A day's flights."
    assert dag.tags == {"raw", "daily"}
    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs == 3
    assert dag.fail_fast is True
    assert {task.owner for task in dag.tasks} == {"data-platform"}
    assert dict(dag.params) == {"carrier": None, "dry_run": False, "force": False}


def test_every_task_asks_the_catalogue_what_to_retry(root: Path) -> None:
    text = FLIGHTS.replace("key: id}", "key: id, retries: {count: 5, delay: 1s, max_delay: 9s}}")
    dag = dag_of(root, text, "flights")
    load, fetch = dag.get_task("load_flights"), dag.get_task("fetch")
    assert (load.retries, fetch.retries) == (5, 3)
    assert load.retry_policy == FaultRetryPolicy(timedelta(seconds=1), timedelta(seconds=9))
    assert fetch.retry_policy == FaultRetryPolicy(timedelta(seconds=30), timedelta(minutes=10))


def test_the_code_tab_shows_the_yaml_and_the_worker_still_finds_the_stub(root: Path) -> None:
    write(root, flights=FLIGHTS)
    dag = dags_of(root, "flights.yaml")[0]
    dag.fileloc = "/bundle/stubs/flights.yaml.py"
    dag.relative_fileloc = "flights.yaml.py"
    dag.validate()
    assert dag.fileloc == str(root / "flights.yaml")
    assert dag.relative_fileloc == "flights.yaml.py"


def test_every_kind_of_step_becomes_its_operator(root: Path) -> None:
    (root / "jobs").mkdir()
    (root / "jobs" / "job.py").write_text("")
    (root / "shapes.py").write_text("def shape(raw, more): return raw\ndef tell(reads, n, dry_run): pass\n")
    text = HEAD + (
        "datasets: {a: 's3://b/a/{{ ds }}/', b: 's3://b/b/{{ ds }}/', t: 'table://w/t'}\n"
        "artifacts: s3://code/\n"
        "clusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, pool: clusters}}\n"
    )
    (root / "defaults.yaml").write_text(text[text.index("artifacts") :])
    text = text[: text.index("artifacts")] + (
        "steps:\n"
        "  s: {spark: jobs/job.py, cluster: small, max_runtime: 1h, writes: {out: a}, timeout: 2h}\n"
        "  own: {spark: jobs/job.py, cluster: small, pool: slow}\n"
        "  x: {transform: 'shapes:shape', reads: {raw: a}, writes: {out: b}, with: {more: 1}}\n"
        "  l: {load: b, into: t, key: [k], mode: insert_only, dead_letters: {max: 2%},\n"
        "      columns: {k: text, at: timestamptz}}\n"
        "  p: {python: 'shapes:tell', reads: {t: t}, with: {n: 3}, pool: slow, trigger_rule: all_done,\n"
        "      description: Tells somebody.}\n"
    )
    dag = dag_of(root, text)
    spark, transform = dag.get_task("s"), dag.get_task("x")
    load, python = dag.get_task("l"), dag.get_task("p")
    assert isinstance(spark, SparkOperator)
    assert spark.execution_timeout == timedelta(hours=2)
    assert (spark.pool, dag.get_task("own").pool) == ("clusters", "slow")
    assert isinstance(transform, TransformOperator)
    assert transform.with_ == {"more": 1}
    assert isinstance(load, LoadOperator)
    assert isinstance(python, PythonStepOperator)
    assert (python.pool, python.trigger_rule, python.doc) == ("slow", "all_done", "Tells somebody.")
    assert edges(dag) == {("s", "x"), ("x", "l"), ("l", "p")}
    pipeline = read_together(root / "it.yaml", root).pipeline
    assert pipeline.steps["l"].mode is Mode.INSERT_ONLY  # type: ignore[union-attr]


def test_serialization_is_stable_and_comes_back(root: Path) -> None:
    write(root, flights=FLIGHTS, delays=DELAYS)

    def serialized(name: str) -> Any:
        dag = dags_of(root, f"{name}.yaml")[0]
        dag.validate()
        return json.loads(json.dumps(DagSerialization.to_dict(dag)))

    for name in ("flights", "delays"):
        first, second = serialized(name), serialized(name)
        assert first == second
        assert not re.search(r" at 0x[0-9a-f]+", json.dumps(first)), "an address changes with every parse"
        assert SerializedDagModel.hash(first) == SerializedDagModel.hash(second)
        back = DagSerialization.from_dict(second)
        assert back.dag_id == name
        assert {task.task_id for task in back.tasks}


def test_building_does_not_warn(root: Path) -> None:
    write(root, flights=FLIGHTS, delays=DELAYS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dags_of(root, "flights.yaml")[0]
        dags_of(root, "delays.yaml")[0]


def test_a_waiting_task_links_to_what_it_waits_for(root: Path) -> None:
    sensor = dag_of(root, DELAYS, "delays", flights=FLIGHTS).get_task("wait_for__flights__fetch")
    [link] = sensor.operator_extra_links
    assert link.get_link(sensor, ti_key=None).endswith("/dags/flights/runs")  # type: ignore[arg-type]
    serialized = json.dumps(DagSerialization.to_dict(sensor.dag))
    assert link.xcom_key in serialized


def test_no_dag_is_scheduled_on_an_asset_but_lineage_is_declared(root: Path) -> None:
    dag = dag_of(root, FLIGHTS, "flights")
    assert [asset.name for asset in dag.get_task("fetch").outlets] == ["flights.raw"]
    assert [asset.name for asset in dag.get_task("load_flights").inlets] == ["flights.raw"]
    assert dag_of(root, DELAYS, "delays").get_task("load_delays").inlets[0].name == "flights.raw"


def test_a_wrong_operator_argument_is_placed(root: Path) -> None:
    text = FLIGHTS.replace("bash_command:", "bash_comand:")
    with pytest.raises(PipelineErrors) as error:
        dag_of(root, text, "flights")
    drawn = str(error.value)
    assert re.search(r"flights\.yaml:14:12: .*`bash_comand`", drawn)
    assert "did you mean `bash_command`?" in drawn


def test_all_that_operators_object_to_is_said_at_once(root: Path) -> None:
    text = HEAD + (
        "dag: {fail_fats: true}\nsteps:\n"
        "  a: {operator: airflow.providers.standard.operators.empty.EmptyOperator, with: {pol: x}}\n"
        "  b: {operator: airflow.providers.standard.operators.bash.BashOperator, with: {bash_command: 5}}\n"
    )
    write(root, it=text)
    together = read_together(root / "it.yaml", root)
    diagnostics = build_diagnostics(together.pipeline, together.upstreams)
    assert [(diagnostic.line, diagnostic.where, diagnostic.suggestion) for diagnostic in diagnostics] == [
        (3, "dag.fail_fats", "fail_fast"),
        (5, "steps.a.with.pol", "pool"),
        (6, "steps.b.with.bash_command", None),
    ]


def test_what_airflow_refuses_is_placed_at_its_step(root: Path) -> None:
    text = HEAD + (
        "steps:\n"
        "  a:\n"
        "    operator: airflow.providers.standard.operators.empty.EmptyOperator\n"
        "    with: {pool_slots: 0}\n"
    )
    write(root, it=text)
    together = read_together(root / "it.yaml", root)
    with pytest.raises(BuildError, match="pool slots"):
        build_dag(together.pipeline, together.upstreams)
    [diagnostic] = build_diagnostics(together.pipeline, together.upstreams)
    assert (diagnostic.line, diagnostic.where) == (4, "steps.a")


def test_window_is_ours_and_ds_airflows_in_an_operators_arguments(root: Path) -> None:
    dag = dag_of(root, FLIGHTS, "flights")
    context = {
        "ds": "airflow's",
        "dag_run": object(),
        "data_interval_start": datetime(2013, 2, 11, tzinfo=UTC),
        "data_interval_end": datetime(2013, 2, 12, tzinfo=UTC),
    }
    template = dag.get_template_env().from_string("{{ window.start.day }}-{{ window.end.day }} {{ ds }}")
    assert template.render(context) == "11-12 airflow's"


def test_a_process_that_parses_can_send_the_dag_to_airflow(root: Path) -> None:
    data = DagSerialization.to_dict(dag_of(root, FLIGHTS, "flights"))
    result = DagFileParsingResult(fileloc="flights.yaml", serialized_dags=[LazyDeserializedDAG(data=data)])
    assert _RequestFrame(id=0, body=result.model_dump()).as_bytes()


def test_a_dry_run_leaves_foreign_operators_out(root: Path) -> None:
    hook = dag_of(root, FLIGHTS, "flights").get_task("fetch").pre_execute
    with pytest.raises(AirflowSkipException, match="dry run"):
        hook(in_a_run({}, dry_run=True))


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_foreign_step_marks_its_run_for_those_who_wait(root: Path, dry_run: bool) -> None:
    hook = dag_of(root, FLIGHTS, "flights").get_task("fetch").pre_execute
    pushed: dict[str, Any] = {}
    with contextlib.suppress(AirflowSkipException):
        hook(in_a_run(pushed, dry_run=dry_run))
    window = "2013-02-11T00:00:00+00:00/2013-02-12T00:00:00+00:00"
    assert pushed == {RUN_XCOM_KEY: {"window": window, "dry_run": dry_run}}


def in_a_run(pushed: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    """A task's context, which keeps in `pushed` what the task leaves."""
    return {
        "ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value})),
        "params": {"dry_run": dry_run},
        "data_interval_start": datetime(2013, 2, 11, tzinfo=UTC),
        "data_interval_end": datetime(2013, 2, 12, tzinfo=UTC),
    }


def test_a_local_day_is_the_local_day_everywhere(root: Path) -> None:
    text = FLIGHTS.replace('cron: "@daily"', 'cron: "@daily", timezone: America/New_York')
    dag = dag_of(root, text, "flights")
    assert dag.get_task("load_flights").timezone == "America/New_York"
    context = {
        "dag_run": object(),
        "data_interval_start": datetime(2013, 2, 11, 5, tzinfo=UTC),
        "data_interval_end": datetime(2013, 2, 12, 5, tzinfo=UTC),
    }
    assert dag.get_template_env().from_string("{{ window.start.hour }}").render(context) == "0"


def test_the_playbook_is_shown(root: Path) -> None:
    playbooks = root.parent / "playbooks"
    playbooks.mkdir()
    (playbooks / "flights.md").write_text("# Flights\n\n## SOURCE_MISSING\n\nCall the airport.\n")
    doc = dag_of(root, FLIGHTS, "flights").doc_md
    assert doc is not None
    assert doc.startswith("A day's flights.")
    assert "data-platform" in doc
    assert "Call the airport." in doc


def test_a_missing_playbook_is_said_to_be_missing(root: Path) -> None:
    assert "playbooks/flights.md" in (dag_of(root, FLIGHTS, "flights").doc_md or "")


def test_each_combination_of_a_matrix_is_a_dag_with_its_own_or_the_common_playbook(root: Path) -> None:
    text = HEAD + (
        "matrix: {region: [eu, us]}\n"
        "datasets: {raw: 's3://b/{{ matrix.region }}/{{ ds }}.csv'}\n"
        "steps: {l: {load: raw, into: 'table://w/{{ matrix.region }}.t'}}\n"
    )
    reader = HEAD + "steps: {l: {load: it_us.raw, into: 'table://w/r'}}\n"
    write(root, it=text, reader=reader)
    playbooks = root.parent / "playbooks"
    playbooks.mkdir()
    (playbooks / "it.md").write_text("Of all.")
    (playbooks / "it_us.md").write_text("Of one.")
    together = read_together(root / "it.yaml", root)
    dags = {pipeline.name: build_dag(pipeline, together.upstreams) for pipeline in together.pipelines}
    assert list(dags) == ["it_eu", "it_us"]
    assert [dag.dag_id for dag in dags.values()] == ["it_eu", "it_us"]
    assert "Of all." in (dags["it_eu"].doc_md or "")
    assert "Of one." in (dags["it_us"].doc_md or "")
    # The page that the log of a failed task points to is the one that is there.
    assert [dag.playbook for dag in dags.values()] == ["it", ""]
    assert "l" in dag_of(root, reader, "reader").task_ids
