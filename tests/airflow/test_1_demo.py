"""The demo as a user calls it: once, again, and with --force. Runs first: the other tests change what it leaves."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.airflow.conftest import Airflow, Workspace

Outcome = tuple[subprocess.CompletedProcess[str], dict[str, Any]]
COUNTS = ("inserted", "updated", "unchanged", "stale", "deduplicated", "dead", "rejected")
TABLES = ("airlines", "airports", "planes", "flights", "weather", "delays")
DAYS = ("2013-02-11", "2013-02-12", "2013-02-13")


def contents(airflow: Airflow) -> dict[str, Any]:
    """A checksum of every table's rows and of the dead letters."""
    found = {}
    for table in TABLES:
        query = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM public.{table} t"
        found[table] = airflow.sql(query)
    found["dead_letters"] = airflow.sql(
        "SELECT count(*), md5(string_agg(id, '|' ORDER BY id)) FROM sluicegate.dead_letters"
    )
    return found


def loads_of(report: dict[str, Any], step: str) -> list[dict[str, Any]]:
    return [load for load in report["loads"] if load["step"] == step]


def test_it_loads_what_is_good_and_sets_aside_what_is_not(first_demo: Outcome) -> None:
    _, report = first_demo
    flights, weather, delays = (loads_of(report, f"load_{name}") for name in ("flights", "weather", "delays"))
    assert [(load["window"][:10], load["read"], load["dead"]) for load in flights] == [
        ("2013-02-11", 929, 28), ("2013-02-12", 893, 4), ("2013-02-13", 918, 6),
    ]  # fmt: skip
    assert [(load["window"][:10], load["dead"]) for load in weather] == [(DAYS[0], 0), (DAYS[1], 1), (DAYS[2], 0)]
    assert [load["window"][:10] for load in delays] == list(DAYS)
    assert {load["step"]: load["inserted"] for load in loads_of(report, "load_planes")} == {"load_planes": 3322}
    for load in report["loads"]:
        assert load["status"] == "loaded"
        assert load["read"] == sum(load[name] for name in COUNTS) > 0
    assert report["dead_letters"] == [
        {"pipeline": "flights", "rule": "required:tailnum", "count": 38},
        {"pipeline": "weather", "rule": "between:wind_speed", "count": 1},
    ]


def test_every_cluster_that_was_started_has_ended(first_demo: Outcome) -> None:
    _, report = first_demo
    assert Counter(cluster["state"] for cluster in report["clusters"]) == {"TERMINATED": 3}
    assert len({cluster["name"] for cluster in report["clusters"]}) == 3
    assert all(cluster["seconds"] > 0 for cluster in report["clusters"])


def test_a_person_sees_progress_and_tables(first_demo: Outcome) -> None:
    done, report = first_demo
    assert "✓ 2013-02-11  flights.load_flights" in done.stdout
    for word in ("Loads", "deduplicated", "required:tailnum", "3 clusters: 3 TERMINATED; none left running."):
        assert word in done.stdout
    assert report["warehouse"] in done.stdout
    assert done.stderr == ""


def test_no_secret_is_shown(first_demo: Outcome, workspace: Workspace) -> None:
    done, report = first_demo
    secrets = (workspace.state / "secrets.json").read_text()
    passwords = [word for word in secrets.split('"') if len(word) > 15 and "_" not in word]
    assert passwords
    shown = done.stdout + done.stderr + str(report)
    assert not [word for word in passwords if word in shown]
    assert (workspace.state / "secrets.json").stat().st_mode & 0o077 == 0


def test_nothing_is_left_running(first_demo: Outcome, workspace: Workspace) -> None:
    mark = f"SLUICEGATE_STATE={workspace.state}"
    left = []
    for process in psutil.process_iter():
        try:
            if mark == f"SLUICEGATE_STATE={process.environ().get('SLUICEGATE_STATE')}":
                left.append(process.cmdline())
        except psutil.Error:
            continue
    assert left == []


@pytest.fixture(scope="module")
def before(airflow: Airflow) -> dict[str, Any]:
    return contents(airflow)


def test_again_every_load_is_a_ledger_hit(airflow: Airflow, before: dict[str, Any]) -> None:
    done, report = airflow.workspace.demo()
    assert "Clearing 10 runs" in done.stdout
    assert {load["status"] for load in report["loads"]} == {"skipped"}
    assert len(report["loads"]) == 12
    assert sum(load[name] for load in report["loads"] for name in COUNTS) == 0
    assert Counter(cluster["state"] for cluster in report["clusters"]) == {"TERMINATED": 3}
    assert contents(airflow) == before


def test_by_force_every_record_is_merged_again_and_none_changes(airflow: Airflow, before: dict[str, Any]) -> None:
    _, report = airflow.workspace.demo("--force")
    assert {load["status"] for load in report["loads"]} == {"loaded"}
    for load in report["loads"]:
        assert load["unchanged"] + load["dead"] == load["read"] > 0
    assert contents(airflow) == before


def test_after_force_the_ledger_is_asked_again(airflow: Airflow, before: dict[str, Any]) -> None:
    _, report = airflow.workspace.demo()
    assert {load["status"] for load in report["loads"]} == {"skipped"}
    assert contents(airflow) == before


def test_every_row_of_the_ledger_balances(airflow: Airflow) -> None:
    unbalanced = f"SELECT * FROM sluicegate.loads WHERE read <> {' + '.join(COUNTS)}"
    assert airflow.sql(unbalanced) == []
    assert airflow.sql("SELECT count(*) FROM sluicegate.loads")[0][0] == 24
