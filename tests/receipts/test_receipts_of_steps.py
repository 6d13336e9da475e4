"""Each try of a step leaves its receipt in the journal, whatever becomes of it, or an XCom where there is none."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from sluicegate.faults import FaultError, fault
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window
from sluicegate.ledger.postgres.receipts import Chosen, PostgresReceipts
from sluicegate.ledger.receipts import Attempt, Receipt, Status
from sluicegate.load.operator import LoadOperator
from sluicegate.receipts.differences import difference
from sluicegate.receipts.page import page_of
from sluicegate.receipts.run import RunReceipt
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.marks import RECOVERY_KEY
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.receipt import RECEIPT_XCOM_KEY
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

DAY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))


class Doing(StepOperator):
    def __init__(self, *, act: Callable[[], Any] = lambda: None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.act = act

    def run(self, context: Context, step: StepContext) -> StepResult:
        self.facts = {"counts": {"read": 2}}
        self.act()
        return StepResult(None, facts={"counts": {"read": 3}, "seconds": {"stage": float("nan")}})


@pytest.fixture
def kept(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", warehouse.connection)
    return warehouse


def instance(act: Callable[[], Any] = lambda: None, journal: str | None = "journal", **words: Any) -> StepInstance:
    with PipelineDAG("orders", schedule=None, journal=journal):
        return StepInstance(Doing(task_id="load", act=act), DAY, **words)


def receipts(kept: Any, step: StepInstance) -> list[Receipt]:
    with psycopg.connect(kept.conninfo) as connection:
        return list(PostgresReceipts(connection).run("orders", step.run.run_id))


def raising(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_step_that_succeeds_leaves_what_it_did_and_where(kept: Any) -> None:
    step = instance(params={"country": "DE", "password": "hunter2", "force": True})
    step.execute()
    [receipt] = receipts(kept, step)
    assert (receipt.status, receipt.attempt.try_number, receipt.window) == (Status.SUCCEEDED, 1, DAY)
    assert receipt.counts == {"read": 3}
    assert receipt.document["params"] == {"country": "DE", "password": "***"}
    assert receipt.document["force"] is True
    assert receipt.document["packages"]["sluicegate"]
    assert receipt.facts["seconds"] == {"stage": "nan"}
    assert receipt.ended_at is not None
    assert RECEIPT_XCOM_KEY not in step.xcoms


def test_each_try_has_its_own_and_a_failed_one_its_fault_and_what_was_known(kept: Any) -> None:
    acts = iter([raising(fault("NETWORK", "postgresql://me:hunter2@db is away")), lambda: None])
    step = instance(lambda: next(acts)())
    with pytest.raises(FaultError):
        step.execute()
    step.try_number = 2
    step.execute()
    first, second = receipts(kept, step)
    assert (first.status, second.status) == (Status.FAILED, Status.SUCCEEDED)
    assert first.document["fault"] == {
        "code": "NETWORK", "class": "transient", "detail": "postgresql://me:***@db is away",
    }  # fmt: skip
    assert (first.counts, second.counts) == ({"read": 2}, {"read": 3})


def test_a_killed_try_stays_running_until_the_next_one_shows_that_it_did_not_end(kept: Any) -> None:
    step = instance(lambda: os.kill(os.getpid(), signal.SIGKILL))
    child = multiprocessing.get_context("fork").Process(target=step.execute)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    [left] = receipts(kept, step)
    assert (left.status, left.ended_at) == (Status.RUNNING, None)
    step.operator.act, step.try_number = (lambda: None), 2
    step.execute()
    assert [one.status for one in receipts(kept, step)] == [Status.RUNNING, Status.SUCCEEDED]


def test_the_first_try_of_a_run_that_was_made_again_takes_nothing_over_from_the_deleted_one(kept: Any) -> None:
    step = instance()
    step.execute()
    kept.rows("UPDATE sluicegate.receipts SET started_at = started_at - interval '9 days', configuration = 'old'")
    kept.rows("UPDATE sluicegate.receipts SET window_start = window_start - interval '1 day'")
    step.execute()
    [receipt] = receipts(kept, step)
    assert receipt.seconds is not None
    assert receipt.seconds < 3_600
    assert (receipt.window, receipt.configuration) == (DAY, None)


def test_a_try_that_was_deferred_has_its_time_from_its_first_beginning(kept: Any) -> None:
    step = instance(raising(TaskDeferred(trigger=None, method_name="resume")))
    with pytest.raises(TaskDeferred):
        step.execute()
    kept.rows("UPDATE sluicegate.receipts SET started_at = started_at - interval '1 hour'")
    step.operator.act = lambda: None
    step.execute()
    [receipt] = receipts(kept, step)
    assert receipt.status is Status.SUCCEEDED
    assert receipt.seconds is not None
    assert receipt.seconds > 3_600


class Elsewhere(Doing):
    """Hands what it reads to something that is not ours, as a `spark` step does."""

    template_fields = ("reads",)
    sources = ("reads",)
    reads_elsewhere = True

    def __init__(self, *, reads: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reads = reads

    def run(self, context: Context, step: StepContext) -> StepResult:
        self.act()
        return StepResult(None)

    def resume(self, context: Context) -> StepResult:
        return self.run(context, self.step_context(context))


def elsewhere(uri: str, act: Callable[[], Any] = lambda: None, day: Window = DAY) -> StepInstance:
    with PipelineDAG("orders", schedule=None, journal="journal"):
        reads = {"raw": Location("orders.raw", uri)}
        return StepInstance(Elsewhere(task_id="load", act=act, reads=reads), day)


def test_what_is_read_elsewhere_is_known_by_the_version_that_was_there_to_begin_with(kept: Any, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    step = elsewhere(f"file://{tmp_path}/", lambda: (tmp_path / "a.csv").write_text("meanwhile"))
    step.execute()
    later = elsewhere(f"file://{tmp_path}/", day=Window(DAY.end, DAY.end + timedelta(days=1)))
    later.execute()
    [first], [second] = receipts(kept, step), receipts(kept, later)
    assert [one["bytes"] for one in (*first.inputs, *second.inputs)] == [10, 14]
    [reason] = difference(RunReceipt((first,)), RunReceipt((second,))).reasons
    assert reason.words == (
        f"load read another version of orders.raw (file://{tmp_path}/): 10 bytes → 14 bytes (changed: a.csv)"
    )


def test_what_was_there_when_a_try_deferred_is_what_it_read(kept: Any, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("id")
    step = elsewhere(str(source), raising(TaskDeferred(trigger=None, method_name="resume")))
    with pytest.raises(TaskDeferred):
        step.execute()
    source.write_text("longer")
    step.operator.act = lambda: None
    step.resume("resume", {})
    [receipt] = receipts(kept, step)
    assert (receipt.status, receipt.inputs[0]["bytes"], "inputs" in receipt.document) == (Status.SUCCEEDED, 2, False)


def test_large_files_of_this_machine_are_known_by_size_and_time(
    kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicegate.runtime.inputs._MOST_HASHED", 1)
    source = tmp_path / "a.csv"
    steps = [elsewhere(str(source), day=Window(at, at + timedelta(days=1))) for at in (DAY.start, DAY.end)]
    for moment, step in enumerate(steps):
        source.write_text("id")
        os.utime(source, (moment, moment))
        step.execute()
    before, after = (RunReceipt(tuple(receipts(kept, step))) for step in steps)
    [reason] = difference(before, after).reasons
    assert reason.words == f"load read orders.raw ({source}), which was written anew: of the same size"
    assert "written 1970-01-01 00:00:01" in "\n".join(page_of(after))


@pytest.mark.parametrize("uri", ["s3://nowhere/", "table://warehouse/orders"])
def test_what_cannot_be_looked_at_is_known_by_its_uri(uri: str, kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://a:b@/?endpoint_url=http://127.0.0.1:9&region_name=us-east-1")
    step = elsewhere(uri)
    step.execute()
    assert receipts(kept, step)[0].inputs == ({"name": "orders.raw", "uri": uri},)


def test_a_skipped_step_says_why(kept: Any) -> None:
    step = instance(raising(AirflowSkipException("nothing to do")))
    with pytest.raises(AirflowSkipException):
        step.execute()
    [receipt] = receipts(kept, step)
    assert (receipt.status, receipt.document["reason"]) == (Status.SKIPPED, "nothing to do")


def test_the_instances_of_a_mapped_step_are_apart(kept: Any) -> None:
    with PipelineDAG("orders", schedule=None, journal="journal"):
        mapped = Doing.partial(task_id="load").expand(item=["de", "fr"])
    one = StepInstance(mapped, DAY, map_index=0)
    other = StepInstance(mapped, DAY, map_index=1, supervisor=one.supervisor, run=one.run)
    one.execute()
    other.execute()
    found = receipts(kept, one)
    assert [(each.attempt.name, each.document["item"]) for each in found] == [("load[0]", "de"), ("load[1]", "fr")]


def test_a_step_that_a_recovery_forces_names_the_plan(kept: Any) -> None:
    step = instance()
    step.store[RECOVERY_KEY] = {"plan": "3f2a", "force": True}
    step.execute()
    [receipt] = receipts(kept, step)
    assert receipt.document["trigger"]["recovery"] == "3f2a"
    assert receipt.document["force"] is True


def test_a_step_without_a_journal_leaves_an_xcom(kept: Any) -> None:
    step = instance(journal=None)
    step.execute()
    left = step.xcoms[RECEIPT_XCOM_KEY]
    assert (left["status"], left["facts"]["counts"]) == ("succeeded", {"read": 3})


def test_a_journal_that_cannot_be_reached_leaves_an_xcom_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", "postgres://nobody@127.0.0.1:1/none")
    step = instance()
    step.execute()
    assert step.xcoms[RECEIPT_XCOM_KEY]["status"] == "succeeded"


def test_the_oldest_are_forgotten_by_a_later_end_of_the_same_pipeline(kept: Any) -> None:
    now = datetime.now(UTC)
    old = Receipt(Attempt("orders", "old", "load", -1, 1), Status.SUCCEEDED, now - timedelta(days=401))
    instance().execute()
    with psycopg.connect(kept.conninfo) as connection:
        store = PostgresReceipts(connection)
        store.begin(replace(old, configuration="c1"), {"owner": "shop"})
        store.begin(replace(old, attempt=old.attempt._replace(pipeline="others")), None)
        connection.execute("UPDATE sluicegate.configurations SET seen_at = seen_at - interval '403 days'")
    for _ in range(2):
        instance().execute()
    found = {(run[0].attempt.pipeline, run[0].attempt.run_id) for run in _runs(kept)}
    assert ("orders", "old") not in found
    assert ("others", "old") in found
    assert kept.one("SELECT count(*) FROM sluicegate.configurations") == 0


def _runs(kept: Any) -> list[Any]:
    with psycopg.connect(kept.conninfo) as connection:
        return list(PostgresReceipts(connection).runs(Chosen(), 10))


def test_a_row_of_a_later_version_is_read_as_far_as_it_is_understood(kept: Any) -> None:
    step = instance()
    step.execute()
    kept.rows("UPDATE sluicegate.receipts SET version = 9, status = 'paused', document = '{\"facts\": 3}'")
    [receipt] = receipts(kept, step)
    assert (receipt.version, receipt.status, dict(receipt.counts), receipt.inputs) == (9, Status.FAILED, {}, ())


def test_a_load_says_which_version_of_what_it_read_and_what_took_how_long(kept: Any) -> None:
    file = kept.csv("orders.csv", ["id", "n"], [[1, 1], [2, 50], [3, "x"]])
    words: dict[str, Any] = {"columns": {"n": {"type": "integer", "between": [0, 9]}}, "key": "id"}

    def load(most: str) -> StepInstance:
        with PipelineDAG("orders", schedule=None, journal="journal"):
            operator = LoadOperator(
                task_id="load", source=Location("raw", str(file)), into="table://journal/orders",
                dead_letters={"max": most}, **words,
            )  # fmt: skip
            return StepInstance(operator, DAY)

    step = load("100%")
    step.execute()
    [receipt] = receipts(kept, step)
    [source] = receipt.inputs
    assert (source["name"], source["uri"], source["rows"], source["bytes"]) == ("raw", str(file), 3, 22)
    assert len(source["version"]) == 64
    assert (receipt.counts["inserted"], receipt.counts["dead"]) == (1, 2)
    assert receipt.facts["dead_letters"] == {"between:n": 1, "type:n": 1}
    assert set(receipt.facts["seconds"]) == {"list", "look", "fetch", "stage", "check", "apply"}
    again = load("0%")
    again.run = step.run
    again.try_number = 2
    with pytest.raises(FaultError):
        again.execute()
    failed = receipts(kept, step)[-1]
    assert (failed.status, failed.fault, failed.facts["status"]) == (Status.FAILED, "TOO_MANY_DEAD_LETTERS", "failed")
    assert failed.inputs[0]["version"] == source["version"]
