"""`sluicegate circuits`: a person sees what tasks wait for, and lets them through."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from sluicegate.circuits.breaker import Settings
from sluicegate.circuits.store import admit, count_failure
from sluicegate.cli import app
from sluicegate.faults import fault
from sluicegate.ledger.postgres.migrations import migrate
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

pytestmark = pytest.mark.system


@pytest.fixture
def journal(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("JOURNAL_URL", warehouse.conninfo)
    return warehouse


def called(*words: str) -> Result:
    return CliRunner().invoke(app, ["circuits", *words, "--url-env", "JOURNAL_URL"])


def opened(journal: Any) -> None:
    with psycopg.connect(journal.conninfo) as connection:
        migrate(connection)
        down = fault("WAREHOUSE_UNREACHABLE", "connection refused")
        count_failure(connection, ["connection:w"], "t", "orders", down, Settings(failures=1))


def test_a_database_without_circuits_has_none(journal: Any) -> None:
    done = called("list")
    assert (done.exit_code, done.output) == (0, "No circuit: nothing that tasks need has failed yet.\n")


def test_an_open_circuit_is_listed_with_its_fault_and_closed_by_hand(journal: Any) -> None:
    opened(journal)
    line = called("list").output.splitlines()[1].split("\t")
    assert (line[0], line[1], line[3], line[4]) == (
        "connection:w", "open", "WAREHOUSE_UNREACHABLE connection refused", "orders",
    )  # fmt: skip
    [found] = json.loads(called("list", "--json").output)
    assert (found["circuit"], found["state"], found["fault"]) == ("connection:w", "open", "WAREHOUSE_UNREACHABLE")
    assert called("reset", "connection:w").output == "connection:w is closed; it was open.\n"
    with psycopg.connect(journal.conninfo) as connection:
        assert admit(connection, ["connection:w"], "t", Settings()) is None


def test_a_circuit_that_there_is_not_is_wrong_use_with_what_was_meant(journal: Any) -> None:
    opened(journal)
    done = called("reset", "connection:v")
    assert done.exit_code == 2
    assert "there is no circuit connection:v; did you mean 'connection:w'?" in " ".join(done.output.split())
