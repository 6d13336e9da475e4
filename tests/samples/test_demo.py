"""The demo as a user calls it: the whole once, then one day of it again and with --force."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx

from tests.airflow.conftest import Airflow, Workspace
from tests.samples.conftest import FirstDemo

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


def test_it_loads_what_is_good_and_sets_aside_what_is_not(first_demo: FirstDemo) -> None:
    report = first_demo.report
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


def test_every_cluster_that_was_started_has_ended(first_demo: FirstDemo) -> None:
    report = first_demo.report
    assert Counter(cluster["state"] for cluster in report["clusters"]) == {"TERMINATED": 3}
    assert len({cluster["name"] for cluster in report["clusters"]}) == 3
    assert all(cluster["seconds"] > 0 for cluster in report["clusters"])


def test_a_person_sees_progress_and_tables(first_demo: FirstDemo) -> None:
    done, report = first_demo.process, first_demo.report
    assert "✓ 2013-02-11  flights.load_flights" in done.stdout
    for word in ("Loads", "deduplicated", "required:tailnum", "3 clusters: 3 TERMINATED; none left running."):
        assert word in done.stdout
    assert report["warehouse"] in done.stdout
    assert done.stderr == ""


def test_no_secret_is_shown(first_demo: FirstDemo, workspace: Workspace) -> None:
    done, report = first_demo.process, first_demo.report
    secrets = (workspace.state / "secrets.json").read_text()
    passwords = [word for word in secrets.split('"') if len(word) > 15 and "_" not in word]
    assert passwords
    shown = done.stdout + done.stderr + str(report)
    assert not [word for word in passwords if word in shown]
    assert (workspace.state / "secrets.json").stat().st_mode & 0o077 == 0


def test_nothing_is_left_running(first_demo: FirstDemo) -> None:
    assert first_demo.left_running == []


AGAIN = ("--day", DAYS[0])
"""A day is repeated, with the reference tables, which have none: what holds for one day holds for three."""


def test_a_repeated_load_is_a_ledger_hit(airflow: Airflow) -> None:
    before, rows = contents(airflow), ledger_rows(airflow)
    done, report = airflow.workspace.demo(*AGAIN)
    assert "Clearing 4 runs" in done.stdout
    assert {load["status"] for load in report["loads"]} == {"skipped"}
    assert len(report["loads"]) == 6
    assert sum(load[name] for load in report["loads"] for name in COUNTS) == 0
    assert Counter(cluster["state"] for cluster in report["clusters"]) == {"TERMINATED": 1}
    assert contents(airflow) == before
    assert ledger_rows(airflow) == rows


def test_force_merges_every_record_again(airflow: Airflow) -> None:
    before, rows = contents(airflow), ledger_rows(airflow)
    _, report = airflow.workspace.demo(*AGAIN, "--force")
    assert {load["status"] for load in report["loads"]} == {"loaded"}
    for load in report["loads"]:
        assert load["unchanged"] + load["dead"] == load["read"] > 0
    assert contents(airflow) == before
    assert ledger_rows(airflow) == rows + 6


def test_a_day_that_no_sample_has_is_refused(workspace: Workspace) -> None:
    done = workspace.command("demo", "--state", str(workspace.state), "--day", "2013-03-01")
    assert done.returncode == 2
    assert "No sample has a run for 2013-03-01" in done.stdout + done.stderr
    assert "2013-02-11, 2013-02-12, 2013-02-13" in done.stdout + done.stderr


def test_every_row_of_the_ledger_balances(airflow: Airflow) -> None:
    unbalanced = f"SELECT * FROM sluicegate.loads WHERE read <> {' + '.join(COUNTS)}"
    assert airflow.sql(unbalanced) == []
    assert ledger_rows(airflow) >= 12


def ledger_rows(airflow: Airflow) -> int:
    """The ledger's rows of the samples' own loads."""
    samples = ["flights", "weather", "reference", "delays"]
    return int(airflow.sql("SELECT count(*) FROM sluicegate.loads WHERE pipeline = ANY(%s)", samples)[0][0])


def test_the_code_tab_shows_the_yaml_and_the_docs_show_the_playbook(airflow: Airflow) -> None:
    shown = airflow.api.get("/dagSources/flights", headers={"Accept": "application/json"}).raise_for_status().json()
    assert shown["content"] == (airflow.workspace.dags / "flights.yaml").read_text()
    docs = airflow.get("/dags/flights/details")["doc_md"]
    assert "Every flight that left New York" in docs
    assert "TOO_MANY_DEAD_LETTERS" in docs


def test_a_spark_task_links_to_the_log_of_its_job(airflow: Airflow) -> None:
    [run, *_] = airflow.get("/dags/delays/dagRuns")["dag_runs"]
    task = f"/dags/delays/dagRuns/{run['dag_run_id']}/taskInstances/join"
    links = airflow.get(f"{task}/links")["extra_links"]
    assert sorted(links) == ["EMR cluster", "Spark history (Applications)", "Step log"]
    assert links["EMR cluster"] is None  # the local EMR has no console
    assert httpx.get(links["Step log"], timeout=30).raise_for_status().headers["Content-Type"]
    usage = airflow.get(f"{task}/xcomEntries/return_value")["value"]["usage"]
    assert usage["cluster_seconds"] > 0
    assert usage["instance_hours"]["on_demand"] > 0
