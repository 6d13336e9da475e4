"""Dead letters in a hand-written DAG: its operator replays, discards and resolves them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load import DeadLettersOperator
from sluicegate.runtime.step import StepContext

STRICT = {"n": {"type": "integer", "between": [0, 9]}}
WIDE = {"n": {"type": "integer", "between": [0, 99]}}


@pytest.fixture(autouse=True)
def letters(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two loads of the DAG `shop`, one letter each, and one of another DAG."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    for number, origin in enumerate([("shop", "load"), ("shop", "load_more"), ("other", "load")]):
        file = warehouse.csv(f"{number}.csv", ["id", "n"], [[number, 50], [10 + number, 5]])
        warehouse.load(file, key="id", columns=STRICT, origin=Origin(*origin, run_id="r"))


def run(operator: DeadLettersOperator, **words: Any) -> Any:
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    step = StepContext("shop", operator.task_id, "run-1", 1, -1, window, **words)
    return operator.run({}, step)


def operator(**words: Any) -> DeadLettersOperator:
    return DeadLettersOperator(task_id="again", into="table://warehouse/t", **words)


def test_a_replay_has_its_table_as_outlet_and_what_it_refers_to_as_inlet() -> None:
    replay = operator(key="id", references={"ports": "table://warehouse/ports"})
    assert [one.name for one in replay.outlets] == ["table://warehouse/t"]
    assert [one.name for one in replay.inlets] == ["table://warehouse/ports"]
    assert operator(key="id", outlets=[]).outlets == []
    assert operator(action="discard", reason="old").outlets == []


def test_it_replays_the_letters_of_its_dag_by_the_given_configuration(warehouse: Any) -> None:
    result = run(operator(key="id", columns=WIDE, load_task_id="load"))
    assert (result.value["replayed"], result.line) == (1, "replayed 1 of 1 dead letters: 1 inserted")
    assert run(operator(key="id", columns=WIDE)).value["replayed"] == 1
    assert warehouse.states()[2][1] == "open", "that of another DAG"
    assert warehouse.rows("SELECT resolved_by FROM sluicegate.dead_letters WHERE status = 'replayed' LIMIT 1") == [
        ("shop.again in run run-1",)
    ]
    assert run(operator(key="id", columns=WIDE, load_dag_id="other"), dry_run=True).value["replayed"] == 1
    assert warehouse.states()[2][1] == "open"


def test_a_fix_and_a_selection(warehouse: Any, tmp_path: Path) -> None:
    (tmp_path / "shop_fixes.py").write_text("def cap(record):\n    return {**record, 'n': 9}\n")
    words = {"key": "id", "columns": STRICT, "fix": "shop_fixes:cap", "root": str(tmp_path)}
    assert run(operator(**words, select={"rule": "type"})).value["replayed"] == 0
    assert run(operator(**words, select={"source": "*/0.csv", "column": "n"})).value["replayed"] == 1
    assert warehouse.rows("SELECT n FROM t WHERE id = 0") == [(9,)]
    with pytest.raises(FaultError, match=r"select: 'rul' is none of .*did you mean 'rule'"):
        run(operator(**words, select={"rul": "type"}))


def test_its_scope_is_filled_in_with_the_params_of_its_run(warehouse: Any) -> None:
    words = {"key": "id", "columns": WIDE, "scope": {"id": "{{ params.id }}"}}
    result = run(operator(**words), params={"id": 0})
    assert (result.value["replayed"], result.value["still_bad"]) == (1, 1)
    assert warehouse.rows("SELECT id FROM t WHERE n > 9") == [(0,)]
    assert run(operator(**words), params={"id": None}).value["replayed"] == 1


def test_it_discards_and_resolves_with_a_reason(warehouse: Any) -> None:
    with pytest.raises(FaultError, match="action: discard needs a reason"):
        run(operator(action="discard"))
    assert run(operator(action="discard", reason="test data"), dry_run=True).line == "2 dead letters would be discarded"
    result = run(operator(action="discard", reason="test data", limit=1))
    assert (result.line, result.value["discarded"]) == ("1 dead letters discarded", 1)
    run(operator(action="resolve", reason="corrected by hand"))
    kept = warehouse.rows("SELECT status, resolved_by, reason FROM sluicegate.dead_letters ORDER BY position")
    who = "shop.again in run run-1"
    assert kept == [
        ("discarded", who, "test data"), ("resolved", who, "corrected by hand"), ("open", None, None),
    ]  # fmt: skip


def test_what_it_takes_is_named_and_templated() -> None:
    assert {"into", "select", "reason", "fix", "edited"} <= set(DeadLettersOperator.template_fields)
    with pytest.raises(TypeError):
        DeadLettersOperator(task_id="x", into="table://w/t", colums={})
