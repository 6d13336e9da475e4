"""A task whose circuit is open waits in the triggerer before its work; the ends of tasks open and close circuits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import TaskDeferred

from sluicegate.circuits.breaker import Settings
from sluicegate.faults import FaultError, fault
from sluicegate.graph.window import Window
from sluicegate.runtime import circuit, circuit_trigger, journal
from sluicegate.runtime.circuit import AFTER_CIRCUIT
from sluicegate.runtime.circuit_trigger import CircuitTrigger
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator, as_step
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

pytestmark = pytest.mark.system

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
SETTINGS = Settings(failures=2, pause=timedelta(seconds=30))


class Loading(StepOperator):
    template_fields = ("into",)

    def __init__(self, *, act: Callable[[], Any], into: str = "table://shop/orders", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.act, self.into = act, into

    def run(self, context: Context, step: StepContext) -> StepResult:
        return StepResult(self.act())

    def resumed(self, context: Context) -> StepResult:
        return StepResult(self.act())


class Asking(BaseOperator):
    """One that is not ours."""

    def __init__(self, *, act: Callable[[], Any], shop_conn_id: str = "shop", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.act, self.shop_conn_id = act, shop_conn_id

    def execute(self, context: Context) -> Any:
        return self.act()


def refuse() -> None:
    raise fault("WAREHOUSE_UNREACHABLE", "connection refused")


@pytest.fixture
def kept(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", warehouse.connection)
    monkeypatch.setattr(circuit, "circuit_settings", lambda: SETTINGS)
    monkeypatch.setattr(circuit_trigger, "circuit_settings", lambda: SETTINGS)
    return warehouse


def one(act: Callable[[], Any] = lambda: 7, kind: Any = Loading, keeps: str | None = "journal") -> StepInstance:
    with PipelineDAG("orders", schedule=None, journal=keeps):
        return StepInstance(kind(task_id="do", act=act), DAY)


def down(times: int = 2) -> None:
    for _ in range(times):
        with pytest.raises(FaultError):
            one(refuse).execute()


def state(kept: Any) -> str:
    return str(kept.one("SELECT state FROM sluicegate.circuits WHERE name = 'connection:shop'"))


def pause_is_over(kept: Any) -> None:
    with psycopg.connect(kept.conninfo) as connection:
        connection.execute("UPDATE sluicegate.circuits SET until = clock_timestamp() - interval '1 s'")


@pytest.mark.parametrize("kind", [Loading, as_step(Asking)])
def test_after_faults_in_a_row_a_task_waits_before_its_work_and_goes_on_once_let_through(kept: Any, kind: Any) -> None:
    down()
    assert state(kept) == "open"
    waiting = one(kind=kind)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute()
    assert deferred.value.method_name == AFTER_CIRCUIT
    trigger = deferred.value.trigger
    assert isinstance(trigger, CircuitTrigger)
    pause_is_over(kept)
    path, arguments = trigger.serialize()
    assert path == "sluicegate.runtime.circuit_trigger.CircuitTrigger"
    fired = asyncio.run(first_event(CircuitTrigger(**{**arguments, "seconds": 0.0})))
    assert state(kept) == "half_open"
    assert waiting.resume(AFTER_CIRCUIT, {"event": fired.payload}) == 7
    assert state(kept) == "closed"


def test_of_those_who_wait_one_is_resumed_and_the_others_go_on_waiting(kept: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(circuit_trigger, "_SHORTEST", 0.01)
    down()
    pause_is_over(kept)
    many = [CircuitTrigger(journal="journal", names=["connection:shop"], who=f"t{n}", seconds=0.0) for n in range(20)]

    async def fired() -> int:
        waiting = [asyncio.ensure_future(first_event(each)) for each in many]
        await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        done, pending = await asyncio.wait(waiting, timeout=0.5)  # many more looks of all others
        for each in pending:
            each.cancel()
        return len(done)

    assert asyncio.run(fired()) == 1


async def first_event(trigger: CircuitTrigger) -> Any:
    return await anext(trigger.run())


def test_words_that_postgres_does_not_store_are_counted_all_the_same(kept: Any) -> None:
    for _ in range(2):
        with pytest.raises(FaultError):
            one(lambda: (_ for _ in ()).throw(fault("WAREHOUSE_UNREACHABLE", "closed: \0"))).execute()
    assert state(kept) == "open"


@pytest.mark.parametrize(
    "words", ['connection to server at "127.0.0.1", port 1 failed', "server closed the connection"]
)
def test_of_two_databases_the_one_that_is_away_is_counted(kept: Any, monkeypatch: Any, words: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://me@127.0.0.1:1/shop")
    monkeypatch.setenv("AIRFLOW_CONN_STOCK", kept.connection)

    class Both(Asking):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.stock_conn_id = "stock"

    for _ in range(2):
        with pytest.raises(FaultError):
            one(lambda: (_ for _ in ()).throw(fault("WAREHOUSE_UNREACHABLE", words)), as_step(Both)).execute()
    assert kept.rows("SELECT name, state FROM sluicegate.circuits") == [("connection:shop", "open")]


def test_a_probe_that_fails_opens_it_again(kept: Any) -> None:
    down()
    pause_is_over(kept)
    with pytest.raises(FaultError):
        one(refuse).execute()
    assert state(kept) == "open"
    assert kept.one("SELECT opens FROM sluicegate.circuits") == 2


def test_a_probe_that_fails_for_another_reason_lets_the_next_one_through(kept: Any) -> None:
    down()
    pause_is_over(kept)
    with pytest.raises(FaultError):
        one(lambda: (_ for _ in ()).throw(fault("CHECK_FAILED"))).execute()
    with pytest.raises(FaultError):
        one(refuse).execute()


def test_work_that_goes_on_after_a_deferral_of_its_own_is_never_held_up(kept: Any) -> None:
    down()
    assert one().resume("resumed", {}) == 7
    assert state(kept) == "closed"


def test_without_a_journal_or_where_it_is_away_every_task_is_let_through(kept: Any, monkeypatch: Any) -> None:
    down()
    assert one(keeps=None).execute() == 7
    journal._spare._drop()
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", "postgresql://nobody@127.0.0.1:1/none")
    assert one().execute() == 7


def test_changes_and_waits_are_events_and_counted(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    said: list[str] = []
    monkeypatch.setattr(circuit, "count", lambda name, labels: counted.append(labels["change"]))
    monkeypatch.setattr(circuit, "emit", lambda event, line, **fields: said.append(f"{event} {fields['circuit']}"))
    down()
    with pytest.raises(TaskDeferred):
        one().execute()
    assert one().resume("resumed", {}) == 7
    assert counted == ["opened", "waited", "closed"]
    assert said == [
        "circuit.opened connection:shop",
        "circuit.waited connection:shop",
        "circuit.closed connection:shop",
    ]


def test_a_gate_costs_a_few_milliseconds(kept: Any) -> None:
    """Of this process's own work, in the cheapest of many: what else the machine does has no part in it."""

    def taken(keeps: str | None) -> float:
        run = one(keeps=keeps)
        began = time.process_time()
        run.execute()
        return time.process_time() - began

    assert min(taken("journal") for _ in range(20)) - min(taken(None) for _ in range(20)) < 0.05
