"""The harness for tests of pipelines, on the sample pipelines and on small ones of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.pipeline import PipelineErrors, Window
from sluicegate.testing.execution import StandInNeededError
from sluicegate.testing.pipelines import Pipelines
from sluicegate.testing.s3 import ScratchS3
from sluicegate.testing.warehouse import Warehouse

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n"
)
RAW = "s3://landing/flights/2013-02-11.csv"
HEAD = "sluicegate: 1\nowner: me\n"


def flight(number: int, tail: str = "N14228", delay: object = 2) -> str:
    return f"2013,2,11,517,515,{delay},830,819,11,UA,{number},{tail},EWR,IAH,227,1400,5,15,2013-02-11T10:00:00Z\n"


@pytest.fixture
def write(tmp_path: Path, warehouse: Warehouse, s3: ScratchS3) -> Callable[..., Pipelines]:
    """Pipelines of a test's own: `write(orders="steps: …", **{"work.py": "…"})`."""
    root = tmp_path / "dags"
    root.mkdir()

    def write(**files: str) -> Pipelines:
        for name, text in files.items():
            path = root / (name if name.endswith(".py") else f"{name}.yaml")
            path.write_text(textwrap.dedent(text) if name.endswith(".py") else HEAD + textwrap.dedent(text))
        return Pipelines(root, warehouse, s3)

    return write


# --- the sample pipelines ----------------------------------------------------------------------------------------


def test_a_day_of_the_sample_is_landed_and_loaded(pipelines: Pipelines) -> None:
    run = pipelines.run("flights", "2013-02-11")
    assert run.states == {"land": "success", "load_flights": "success"}
    assert run["load_flights"].status == "loaded"
    assert (run["load_flights"].read, run["load_flights"].inserted, run["load_flights"].dead) == (929, 901, 28)
    assert pipelines.one("SELECT count(*) FROM flights") == 901
    assert {letter.rules for letter in pipelines.dead_letters("public.flights")} == {("required:tailnum",)}
    again = pipelines.run("flights", "2013-02-11")
    assert again["load_flights"].status == "skipped"
    assert run.window == Window(datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 12, tzinfo=UTC))


def test_a_corrected_file_merges_only_what_it_changed(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + "".join(flight(number) for number in range(1, 4)))
    first = pipelines.run("flights", "2013-02-11", only=["load_flights"])
    assert list(first) == ["load_flights"]
    pipelines.put(RAW, HEADER + flight(1) + flight(2, delay=30) + flight(3) + flight(4))
    second = pipelines.run("flights", "2013-02-11", only=["load_flights"])["load_flights"]
    assert (second.inserted, second.updated, second.unchanged) == (1, 1, 2)
    assert pipelines.rows("SELECT flight, dep_delay FROM flights WHERE flight = %s", 2) == [(2, 30)]


def test_two_windows_are_two_loads(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + flight(1))
    pipelines.put(RAW.replace("11", "12"), HEADER + flight(2).replace("2013,2,11", "2013,2,12"))
    for day in ("2013-02-11", "2013-02-12"):
        assert pipelines.run("flights", day, only=["load_flights"])["load_flights"].inserted == 1
    assert pipelines.rows("SELECT day FROM flights ORDER BY day") == [(11,), (12,)]


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_has_an_empty_warehouse_and_an_empty_s3(pipelines: Pipelines, number: int) -> None:
    assert pipelines.s3.uris() == []
    assert pipelines.dead_letters() == []
    pipelines.put(RAW, HEADER + flight(number))
    pipelines.run("flights", "2013-02-11", only=["load_flights"])
    assert pipelines.rows("SELECT flight FROM flights") == [(number,)]


def test_a_bad_record_is_a_dead_letter_with_its_line_and_its_rule(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + "".join(flight(number) for number in range(100)) + flight(100, tail="NA"))
    assert pipelines.run("flights", "2013-02-11", only=["load_flights"])["load_flights"].dead == 1
    [letter] = pipelines.dead_letters()
    assert (letter.table, letter.source, letter.line, letter.rules) == (
        "public.flights", RAW, 102, ("required:tailnum",),
    )  # fmt: skip


def test_what_goes_wrong_in_a_step_is_raised_as_its_fault(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + flight(1) + flight(2, tail="NA"))
    with pytest.raises(FaultError) as caught:
        pipelines.run("flights", "2013-02-11", only=["load_flights"])
    assert caught.value.code == "TOO_MANY_DEAD_LETTERS"
    failed = pipelines.runs[-1]["load_flights"]
    assert (failed.state, failed.status, failed.rejected) == ("failed", "failed", 1)
    with pytest.raises(FaultError, match="SOURCE_MISSING"):
        pipelines.run("flights", "2013-02-12", only=["load_flights"])


def delays(uri: str, window: Window) -> str:
    return (
        "carrier,day,flights,cancelled,mean_delay,mean_delay_windy,mean_visibility,computed_at\n"
        f"UA,2013-02-11,10,1,3.5,,9.1,{window.end.isoformat()}\n"
    )


def test_a_spark_step_is_refused_before_anything_runs(pipelines: Pipelines) -> None:
    with pytest.raises(StandInNeededError, match=r"`join` runs Spark on a cluster.* stand_in.* only"):
        pipelines.run("delays", "2013-02-11")
    assert pipelines.runs == []


def test_a_stand_in_does_the_work_of_a_spark_step(pipelines: Pipelines) -> None:
    seen: dict[str, Any] = {}

    def join(reads: dict[str, str], writes: dict[str, str], window: Window) -> None:
        seen.update(reads)
        pipelines.put(writes["out"] + "part-00000.csv", delays(writes["out"], window))

    run = pipelines.run("delays", "2013-02-11", stand_in={"join": join})
    assert seen["flights"] == "s3://landing/flights/2013-02-11.csv"
    assert run["load_delays"].inserted == 1
    assert pipelines.rows("SELECT carrier, mean_delay FROM delays") == [("UA", 3.5)]


def test_a_wait_is_satisfied_by_a_run_of_the_same_test_and_missing_without(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + flight(1))
    pipelines.run("flights", "2013-02-11", stand_in={"land": lambda: None})

    def join(writes: dict[str, str], window: Window) -> None:
        pipelines.put(writes["out"] + "part-00000.csv", delays(writes["out"], window))

    run = pipelines.run("delays", "2013-02-11", stand_in={"join": join})
    assert sorted(run.waits.items()) == [
        ("wait_for__flights__land", "satisfied"),
        ("wait_for__weather__land", "missing"),
    ]


def test_a_dry_run_leaves_nothing_and_satisfies_no_wait(pipelines: Pipelines) -> None:
    pipelines.put(RAW, HEADER + flight(1))
    run = pipelines.run("flights", "2013-02-11", params={"dry_run": True}, stand_in={"land": lambda: None})
    assert run.states["land"] == "skipped"
    run = pipelines.run("flights", "2013-02-11", params={"dry_run": True}, only=["load_flights"])
    assert (run["load_flights"].status, run["load_flights"].inserted) == ("dry_run", 1)
    assert pipelines.one("SELECT to_regclass('flights')") is None
    assert pipelines.run("delays", "2013-02-11", stand_in={"join": lambda: None}, only=["join"]).waits == {}


def test_params_and_a_pipeline_without_a_schedule(pipelines: Pipelines) -> None:
    pipelines.put("s3://inbox/people.csv", "name,age\nAda,36\n")
    run = pipelines.run("inbox", params={"table": "people"})
    assert run["load_file"].target == "inbox.people"
    assert pipelines.rows("SELECT name, age FROM inbox.people") == [("Ada", 36)]


# --- what is asked for and is not there --------------------------------------------------------------------------


def test_names_that_do_not_exist_are_answered_with_what_was_meant(pipelines: Pipelines) -> None:
    with pytest.raises(LookupError, match="`flihgts`; did you mean `flights`"):
        pipelines.run("flihgts", "2013-02-11")
    with pytest.raises(LookupError, match="`flights` has no step `zzz`, but land, load_flights"):
        pipelines.run("flights", "2013-02-11", only=["zzz"])
    with pytest.raises(LookupError, match="did you mean `land`"):
        pipelines.run("flights", "2013-02-11", stand_in={"lnd": print})
    pipelines.put(RAW, HEADER + flight(1))
    run = pipelines.run("flights", "2013-02-11", only=["load_flights"])
    with pytest.raises(KeyError, match="did you mean 'load_flights'"):
        run["load_flight"]
    with pytest.raises(AttributeError, match="has no 'insrted': it returned status"):
        _ = run["load_flights"].insrted


def test_a_window_must_be_one_of_the_schedule(pipelines: Pipelines, write: Callable[..., Pipelines]) -> None:
    with pytest.raises(ValueError, match="give window"):
        pipelines.run("flights")
    with pytest.raises(
        ValueError, match=r"no window of 0 7 [*] [*] [*] starts at 2013-02-11T08:00; the next one is 2013-02-12"
    ):
        pipelines.run("delays", "2013-02-11T08:00")


def test_a_file_with_errors_is_reported_as_by_check(write: Callable[..., Pipelines]) -> None:
    pipelines = write(broken="steps: {a: {load: s3://landing/a.csv, into: 'table://w/t', kye: id}}\n")
    with pytest.raises(PipelineErrors, match="kye"):
        pipelines.run("broken")
    pipelines = write(worse="steps: {a: {operator: no.such.Operator}}\n")
    with pytest.raises(PipelineErrors, match=r"no\.such"):
        pipelines.run("worse")


# --- steps of every kind -----------------------------------------------------------------------------------------

BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"
EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"


def test_a_mapped_step_runs_for_each_item(write: Callable[..., Pipelines]) -> None:
    pipelines = write(
        regions="""\
            steps:
              make: {python: "regions_work:make"}
              load:
                load: s3://landing/{{ item }}.csv
                into: table://warehouse/sales
                key: id
                for_each: {output_of: make}
            """,
        **{"regions_work.py": "def make(): return ['eu', 'us']\n"},
    )
    for number, region in enumerate(("eu", "us")):
        pipelines.put(f"s3://landing/{region}.csv", f"id\n{number}\n")
    run = pipelines.run("regions")
    assert [each.inserted for each in run["load"].instances] == [1, 1]
    assert [each["target"] for each in run["load"].value] == ["public.sales"] * 2
    assert pipelines.one("SELECT count(*) FROM sales") == 2
    with pytest.raises(LookupError, match="`load` runs for each item that `make` returns"):
        pipelines.run("regions", only=["load"])
    assert pipelines.run("regions", stand_in={"make": list}).states == {"make": "success", "load": "skipped"}


def test_files_are_listed_for_the_step_that_is_mapped_over_them(write: Callable[..., Pipelines]) -> None:
    pipelines = write(
        drops="""\
        steps:
          load:
            load: "{{ item }}"
            into: table://warehouse/drops
            mode: append
            checks: []
            for_each: {files: "s3://landing/*.csv"}
        """
    )
    pipelines.put("s3://landing/a.csv", "id\n1\n")
    pipelines.put("s3://landing/b.csv", "id\n2\n3\n")
    run = pipelines.run("drops", only=["load"])
    assert [each.inserted for each in run["load"].instances] == [1, 2]
    assert run["files_of__load"].value == ["s3://landing/a.csv", "s3://landing/b.csv"]


def test_a_missing_source_is_the_fault_of_its_wait(write: Callable[..., Pipelines]) -> None:
    pipelines = write(
        late="""\
        schedule: {cron: "@daily", start: 2026-01-01}
        datasets: {raw: "s3://landing/{{ ds }}.csv"}
        steps:
          load: {load: raw, wait: 2h, into: "table://warehouse/late", key: id}
        """
    )
    with pytest.raises(FaultError, match=r"after 2h of waiting not delivered: s3://landing/2026-01-05[.]csv") as caught:
        pipelines.run("late", "2026-01-05")
    assert caught.value.code == "SOURCE_MISSING"
    assert pipelines.runs[-1].states["load"] == "upstream_failed"
    pipelines.put("s3://landing/2026-01-05.csv", "id\n1\n")
    assert list(pipelines.run("late", "2026-01-05").waits.values()) == ["satisfied"]


def test_a_teardown_runs_although_a_step_has_failed(write: Callable[..., Pipelines], tmp_path: Path) -> None:
    pipelines = write(
        scratch=f"""\
            steps:
              up: {{{BASH}, with: {{bash_command: "echo made {{{{ params.n }}}}"}}}}
              work: {{python: "scratch_work:fail", after: up}}
              after: {{{EMPTY}, after: work}}
              down: {{{BASH}, with: {{bash_command: "echo {{{{ ti.xcom_pull('up') }}}}"}}, teardown_of: up}}
            params: {{n: 3}}
            """,
        **{"scratch_work.py": "def fail(): raise ZeroDivisionError('no')\n"},
    )
    with pytest.raises(FaultError) as caught:
        pipelines.run("scratch")
    assert "ZeroDivisionError" in str(caught.value)
    run = pipelines.runs[-1]
    assert (run["up"].state, run["work"].state, run["after"].state) == ("success", "failed", "upstream_failed")
    assert (run["down"].state, run["down"].value) == ("success", "made 3")


def test_a_branch_leaves_out_the_other_one(write: Callable[..., Pipelines]) -> None:
    pipelines = write(
        branch=f"""\
            steps:
              choose:
                operator: airflow.providers.standard.operators.python.BranchPythonOperator
                with: {{python_callable: "branch_work:choose"}}
              left: {{{EMPTY}, after: choose}}
              right: {{{EMPTY}, after: choose}}
              join: {{{EMPTY}, after: [left, right], trigger_rule: none_failed_min_one_success}}
            """,
        **{"branch_work.py": "def choose(): return 'left'\n"},
    )
    states = pipelines.run("branch").states
    assert states == {"choose": "success", "left": "success", "right": "skipped", "join": "success"}


def test_what_needs_a_running_airflow_needs_a_stand_in(write: Callable[..., Pipelines]) -> None:
    pipelines = write(
        sensor="""\
            steps:
              wait:
                operator: airflow.providers.standard.sensors.filesystem.FileSensor
                with: {filepath: /nowhere}
            """,
        trigger="""\
            steps:
              go:
                operator: airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator
                with: {trigger_dag_id: other}
            """,
    )
    with pytest.raises(StandInNeededError, match="`wait` waits for something outside"):
        pipelines.run("sensor")
    assert pipelines.run("sensor", stand_in={"wait": lambda: "there"})["wait"].value == "there"
    with pytest.raises(StandInNeededError, match="`go` needs a running Airflow"):
        pipelines.run("trigger")


def test_no_connection_of_the_machine_is_seen(write: Callable[..., Pipelines], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://production/warehouse")
    monkeypatch.setenv("AIRFLOW_CONN_CRM", "http://production")
    pipelines = write(
        crm="""\
            steps:
              ask: {python: "crm_work:ask"}
              load: {load: s3://landing/a.csv, into: "table://warehouse/t", key: id, after: ask}
            """,
        **{
            "crm_work.py": """
            from airflow.sdk import BaseHook
            def ask(): return BaseHook.get_connection("crm").host
            """
        },
    )
    pipelines.put("s3://landing/a.csv", "id\n1\n")
    with pytest.raises(FaultError) as caught:
        pipelines.run("crm")
    assert caught.value.code == "CONNECTION_MISSING"
    pipelines.connections["crm"] = "http://localhost"
    run = pipelines.run("crm")
    assert (run["ask"].value, run["load"].inserted) == ("localhost", 1)
