"""How an Airflow connection says where a Redshift is, and through which folder its loads go."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluicegate.cli.dead_letters_options import Where
from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.letters import Selection
from sluicegate.load.dead_letters_operator import DeadLettersOperator
from sluicegate.load.operator import LoadOperator
from sluicegate.load.references import open_referenced
from sluicegate.runtime.step import StepContext
from sluicegate.targets.open import open_target, reached
from sluicegate.targets.redshift.target import RedshiftTarget
from sluicegate.wait.table import has_row

EXTRA = {"staging": "s3://stage/loads/", "iam_role": "arn:aws:iam::123456789012:role/load", "unknown": 1}


def connection(**extra: Any) -> str:
    words = {"conn_type": "redshift", "host": "h", "login": "u", "password": "hush", "schema": "d", "extra": extra}
    return json.dumps(words)


def opened(monkeypatch: pytest.MonkeyPatch, ledger: str | None = "ledger", **extra: Any) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_WH", connection(**extra))
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "postgres", "host": "h"}))
    return open_target("table://wh/Sales.Orders", application="test", ledger=ledger)


def test_a_connection_of_type_redshift_is_a_target_by_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    target = opened(monkeypatch, **EXTRA)
    assert isinstance(target, RedshiftTarget)
    assert target.name == "table://wh/sales.orders"
    words = target._cluster.words
    assert (words["ssl"], words["sslmode"], words["port"], words["user"]) == (True, "verify-full", 5439, "u")
    assert "unknown" not in words
    assert "hush" not in repr(target._cluster)
    assert opened(monkeypatch, **EXTRA, sslmode="verify-ca")._cluster.words["sslmode"] == "verify-ca"
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps({"conn_type": "postgres", "host": "h"}))
    assert reached("table://pg/t", None) == ("t", "pg")


def test_the_words_of_a_connection_go_before_ours_and_its_name_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    target = opened(monkeypatch, **EXTRA, timeout=3, application_name="theirs", max_prepared_statements=9)
    monkeypatch.setattr("redshift_connector.connect", lambda **words: given.append(words) or 1 / 0)
    with pytest.raises(FaultError):
        target._cluster.connect("load")
    names = ("timeout", "application_name", "max_prepared_statements")
    assert [given[0][name] for name in names] == [3, "sluicegate load", 0]


@pytest.mark.parametrize(
    ("lacks", "words"), [("staging", "does not say through which folder"), ("iam_role", "does not say by which role")]
)
def test_what_the_connection_lacks_is_said_with_the_remedy(
    lacks: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FaultError, match=words) as refused:
        opened(monkeypatch, **{name: value for name, value in EXTRA.items() if name != lacks})
    assert (refused.value.code, f'"{lacks}"' in str(refused.value)) == ("WRONG_USE", True)
    with pytest.raises(FaultError, match=r"through which folder|by which role"):
        opened(monkeypatch, **EXTRA | {lacks: "s3:' or so"})


def test_a_redshift_needs_a_ledger_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FaultError, match="has no place for a ledger"):
        opened(monkeypatch, None, **EXTRA)


def test_the_commands_for_dead_letters_find_its_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch, **EXTRA)
    assert "host=h" in Where("dead-letters list").of_connection("wh", "ledger")
    with pytest.raises(FaultError, match=r"its ledger is in the Postgres of `connections\.ledger`"):
        Where("dead-letters list").of_connection("wh")


def test_steps_load_into_it_wait_for_it_refer_to_it_and_close_its_letters(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = conninfo_to_dict(house.conninfo)
    fields = {"host": at["host"], "port": int(at["port"] or 0), "login": at["user"], "schema": at["dbname"]}
    redshift = {"conn_type": "redshift", "password": "x", "extra": {**EXTRA, "ssl": False}}
    monkeypatch.setenv("AIRFLOW_CONN_WH", json.dumps(fields | redshift))
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(fields | {"conn_type": "postgres"}))
    assert not has_row("table://wh/Orders")
    step = StepContext("p", "s", "r", 1, -1, Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)))
    into: dict[str, Any] = {"into": "table://wh/Orders", "ledger_conn_id": "ledger"}
    source = str(house.csv("a.csv", ["Id"], [[1], [2], ["x"]]))
    words = {"key": "Id", "columns": {"Id": "integer"}, "dead_letters": {"max": 1}}
    load = LoadOperator(task_id="s", source=source, **words, **into)
    report = load.run({}, step).value  # type: ignore[typeddict-item]
    assert (report["status"], report["inserted"], report["dead"]) == ("loaded", 2, 1)
    assert has_row("table://wh/Orders")
    assert sorted(next(iter(open_referenced("table://wh/Orders").values("Id")))) == ["1", "2"]
    closing = DeadLettersOperator(task_id="d", action="discard", reason="not ours", **into)
    assert closing.run({}, step).value["discarded"] == 1  # type: ignore[typeddict-item]
    with house.target("orders").ledger() as ledger:
        assert ledger.letters.count(Selection()) == 0
