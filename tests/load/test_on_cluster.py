"""A load of records that a cluster has checked ends as one that checks them itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluicegate.ledger.entries import Origin
from sluicegate.records.on_cluster import checked_folder, cluster_plan
from tests.load.conftest import LoadWarehouse
from tests.spark import CheckJob, spark_folder, spark_session

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def job() -> Iterator[CheckJob]:
    with spark_session() as spark:
        yield CheckJob(spark)


class Both:
    """One load, done with a worker's checks and with a cluster's, each into a table and a ledger of its own."""

    def __init__(self, warehouse: LoadWarehouse, job: CheckJob, words: dict[str, Any]) -> None:
        self.warehouse, self.job = warehouse, job
        self.words = {"format": "parquet", **words}

    def request(self, folder: Path, **words: Any) -> Any:
        origin = Origin("p", "load_orders", "run1", 1)
        return self.warehouse.request(f"{folder}/", **{"origin": origin, **self.words, **words})

    def check(self, folder: Path, **words: Any) -> dict[str, Any]:
        """What the last job of the spark step does."""
        plan = cluster_plan(self.request(folder, **words), folder)
        return self.job.run(plan, f"{folder}/", checked_folder(f"{folder}/", "load_orders"))

    def load(self, folder: Path, **words: Any) -> Any:
        origin = Origin("p", "load_orders", "run1", 1)
        given = {"check_on": "cluster", "origin": origin, **self.words, **words}
        return self.warehouse.load(f"{folder}/", **given)

    def fails(self, folder: Path, **words: Any) -> Any:
        origin = Origin("p", "load_orders", "run1", 1)
        given = {"check_on": "cluster", "origin": origin, **self.words, **words}
        return self.warehouse.fails(f"{folder}/", **given)

    def kept(self) -> dict[str, Rows]:
        rows = self.warehouse.rows
        letters = (
            "id, config_digest, source, source_version, line, record, failures, key, version, complete, header, absent"
        )
        return {
            "table": rows("SELECT * FROM t ORDER BY 1, 2"),
            "letters": rows(f"SELECT {letters} FROM sluicegate.dead_letters ORDER BY source, line"),
        }


CONTRACT: dict[str, Any] = {
    "key": "id",
    "newest_by": "changed",
    "columns": {
        "id": "bigint",
        "amount": {"type": "numeric(12,2)", "between": [0, 1000]},
        "day": "date",
        "code": {"type": "varchar(5)", "matches": "^[a-zä]+$"},
        "changed": "timestamp",
    },
    "checks": [
        {"expect_column_values_to_be_in_set": {"column": "code", "value_set": ["a", "b"], "severity": "warning"}},
        {"expect_column_values_to_not_be_null": {"column": "day", "mostly": 0.5}},
        {"expect_table_row_count_to_be_between": {"min_value": 1, "max_value": 100}},
    ],
}


def orders(*rows: tuple[Any, ...]) -> pa.Table:
    names = ("id", "amount", "day", "code", "changed", "note")
    types = (pa.int64(), pa.float64(), pa.date32(), pa.string(), pa.timestamp("us"), pa.string())
    columns = {
        name: pa.array([row[at] for row in rows], type_)
        for at, (name, type_) in enumerate(zip(names, types, strict=True))
    }
    return pa.table(columns)


NOON, LATER = (datetime.fromisoformat(f"2024-01-0{day}T12:00") for day in (1, 2))
DAY = date(2024, 1, 1)
PARTS = [
    orders(
        (1, 1.25, DAY, "a", LATER, "newest of three"),
        (2, 5000.0, DAY, "b", NOON, "too much"),
        (None, 2.0, DAY, "b", NOON, "no key"),
        (3, 1.255, DAY, "b", NOON, "a digit too many"),
        (4, None, None, "toolong", NOON, "long"),
    ),
    orders(
        (1, 9.0, DAY, "b", NOON, "older"),
        (5, 7.5, None, "c", NOON, None),
        (6, float("nan"), DAY, "X1", NOON, "wrong code and no number"),
        (1, 9.5, DAY, "b", NOON, "older, too"),
    ),
]
TABLE = """
    CREATE TABLE t (id bigint PRIMARY KEY, amount numeric(12,2), day date, code varchar(5), changed timestamp,
                    note text NOT NULL CHECK (note <> 'newest of three'))
"""


def test_it_ends_as_a_load_that_checks_by_itself(warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path) -> None:
    """Also where the table itself refuses more: a missing value, a CHECK."""
    folder = spark_folder(tmp_path / "orders", PARTS)
    both = Both(warehouse, job, {**CONTRACT, "results": f"{tmp_path}/results/"})
    found = []
    for check_on in ("worker", "cluster"):
        warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        warehouse.rows(TABLE)
        if check_on == "cluster":
            both.check(folder)
        report = both.load(folder, check_on=check_on).as_dict()
        report["seconds"] = 0
        found.append({"report": report, **both.kept(), "results": results(tmp_path / "results")})
        assert both.load(folder, check_on=check_on).status == "skipped"
    assert found[0]["report"]["dead"] == 7
    assert found[1] == found[0]


def results(folder: Path) -> Any:
    """Without samples of what only warns, which the job does not keep."""
    [file] = folder.glob("*.json")
    found = json.loads(file.read_text())["results"]
    for one in found:
        if one["expectation_config"]["severity"] == "warning" or "mostly" in one["expectation_config"]["kwargs"]:
            one["result"].pop("partial_unexpected_list")
        one["result"] = {name: str(value) for name, value in one["result"].items()}
    return found


def test_a_load_that_fails_by_the_report_fails_as_one_that_checks_by_itself(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path
) -> None:
    """Too many dead letters, and a check of the whole table; what passed is not even read."""
    folder = spark_folder(tmp_path / "orders", PARTS)
    good = spark_folder(tmp_path / "good", [orders((1, 1.0, DAY, "a", NOON, "x")), orders()])
    none = spark_folder(tmp_path / "none", [orders()])
    few = {**CONTRACT, "checks": [{"expect_table_row_count_to_be_between": {"min_value": 2}}]}
    for source, words in ((folder, {**CONTRACT, "max_dead": "10%"}), (good, few), (none, few)):
        both, found = Both(warehouse, job, words), []
        for check_on in ("worker", "cluster"):
            warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
            warehouse.rows(TABLE.replace("NOT NULL CHECK (note <> 'newest of three')", ""))
            if check_on == "cluster":
                both.check(source)
                for path in (source / "_checked/load_orders").glob("passed/part-*"):
                    path.write_bytes(b"x" * path.stat().st_size) if source is folder else None
            failed = both.fails(source, check_on=check_on)
            failed.facts["report"]["seconds"] = 0
            found.append((failed.code, failed.detail, failed.facts, both.kept()))
        assert found[1] == found[0]


def test_what_was_not_checked_for_this_load_is_not_loaded(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path
) -> None:
    """Nothing there, a job that died, other rules, other files, other files of its own; checked again it goes in."""
    folder = spark_folder(tmp_path / "orders", [orders((1, 1.0, DAY, "a", NOON, "x"))])
    both = Both(warehouse, job, {"key": "id", "columns": {"id": "bigint", "amount": {"type": "double"}}})
    report = folder / "_checked/load_orders/report.json"

    def refused(words: str, **changes: Any) -> None:
        failed = both.fails(folder, **changes)
        assert (failed.code, words in failed.detail) == ("CHECKS_OUTDATED", True), failed.detail
        assert warehouse.one("SELECT to_regclass('t')") is None

    refused("was not checked for this load")
    both.check(folder)
    refused("another contract", columns={"id": "bigint", "amount": {"type": "double", "between": [0, 1]}})
    report.rename(report.with_suffix(".kept"))  # As a job leaves it that died in the middle.
    refused("there is no")
    report.write_text("{}")
    refused("not a report of this version")
    report.with_suffix(".kept").rename(report)
    [passed] = (folder / "_checked/load_orders/passed").glob("part-*")
    passed.rename(passed.with_name("part-of-another-run.parquet"))
    refused("is not as it was written on the cluster")
    spark_folder(folder, [orders((1, 2.0, DAY, "a", NOON, "x")), orders((2, 1.0, DAY, "a", NOON, "y"))])
    refused("is not as it was checked on the cluster")
    both.check(folder)
    assert both.load(folder).counts.inserted == 2
    both.check(folder)  # A person has cleared the spark step, which wrote the same.
    assert both.load(folder).status == "skipped"
    assert both.load(folder, force=True).counts.unchanged == 2
    part = next(folder.glob("part-00000-*"))
    later = part.stat().st_mtime + 3600
    os.utime(part, (later, later))  # As a writer leaves it that has its own names, and wrote as many bytes.
    failed = both.fails(folder, force=True)
    assert (failed.code, "is not as it was checked" in failed.detail) == ("CHECKS_OUTDATED", True)


def test_folders_of_partitions_are_columns_and_records_without_a_key_are_added(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path
) -> None:
    spark_folder(tmp_path / "orders/day=2024-01-01/kind=a%20b", [orders((1, 1.0, None, "a", NOON, "x")).drop(["day"])])
    spark_folder(
        tmp_path / "orders/day=nonsense/kind=__HIVE_DEFAULT_PARTITION__",
        [orders((1, 2.0, None, "b", NOON, "y")).drop(["day"])],
    )
    (tmp_path / "orders/_SUCCESS").touch()
    both = Both(warehouse, job, {"columns": {"id": {"type": "bigint"}, "day": {"type": "date"}}})
    both.check(tmp_path / "orders")
    found = []
    for check_on in ("worker", "cluster"):
        warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        both.load(tmp_path / "orders", check_on=check_on)
        found.append(both.kept())
    assert found[1] == found[0]
    assert found[0]["table"] == [(1, 1.0, "a", NOON, "x", DAY, "a b")]


KINDS = ("bigint", "smallint", "numeric(6,2)", "double", "real", "date", "timestamp", "timestamptz", "boolean")
TEXTS = (
    "01", " 1 ", "+1", "1.0", "1.5", "1e2", "0.5", ".5", "1d", "1f", "0x1F", "1_000", "1,000", "NaN", "inf", "", " ",
    "2024-01-01", "2024-1-1", "2024-01", "2024", "20240101", "2024-01-01 10:00:00", "2024-01-01T10:00", "24-01-01",
    "2024-01-01 00:00:00", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02", "2024-01-01 10:00:00.1234567",
    "10000-01-01", " 2024-01-01 ", "true", "f", "yes", "99999999999999999999", "123456.7", "1.250", "1.255", "1e400",
    "1", "2024-02-30", "1e-400", "16777217", "-0", "٣",
)  # fmt: skip


def test_a_text_is_what_a_worker_makes_of_it_or_a_dead_letter(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path
) -> None:
    """Spark's own casts take more: a year alone is a day to it, and a number may end in `d`."""
    cases = [(kind, text) for kind in range(len(KINDS)) for text in TEXTS]
    columns: dict[str, Any] = {"line": pa.array(range(len(cases)), pa.int64())}
    for kind in range(len(KINDS)):
        columns[f"v{kind}"] = pa.array([text if kind == own else None for own, text in cases], pa.string())
    folder = spark_folder(tmp_path / "texts", [pa.table(columns)])
    types: dict[str, str] = {"line": "bigint", **{f"v{kind}": type_ for kind, type_ in enumerate(KINDS)}}
    both, found = Both(warehouse, job, {"key": "line", "columns": types}), []
    values = ", ".join(f"v{kind}::text" for kind in range(len(KINDS)))
    both.check(folder)
    for check_on in ("worker", "cluster"):
        warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        both.load(folder, check_on=check_on)
        found.append({row[0]: row for row in warehouse.rows(f"SELECT line, {values} FROM t")})
    by_worker, by_cluster = found
    assert {line: str(by_worker.get(line)) for line in by_cluster} == {
        line: str(by_cluster[line]) for line in by_cluster
    }
    stricter = {(KINDS[cases[line][0]], cases[line][1]) for line in by_worker.keys() - by_cluster.keys()}
    assert stricter == {
        *((kind, text) for kind in ("bigint", "smallint") for text in ("1.0", "1e2")), ("numeric(6,2)", "1e2"),
        ("boolean", "1"), ("boolean", "yes"),
        *((kind, "inf") for kind in ("date", "timestamptz")),
    }  # fmt: skip
