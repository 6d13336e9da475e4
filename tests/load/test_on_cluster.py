"""A load of records that a cluster has checked ends as one that checks them itself."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sluicegate.faults import FaultError
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


def test_a_column_of_the_files_that_their_folders_have_too_fails_the_job(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path
) -> None:
    """A worker takes what is in the file, and Spark what is in the folder's name."""
    spark_folder(tmp_path / "orders/code=b", [orders((1, 1.0, DAY, "a", NOON, "x"))])
    (tmp_path / "orders/_SUCCESS").touch()
    both = Both(warehouse, job, {"columns": {"id": "bigint", "code": "text"}})
    with pytest.raises(SystemExit, match="code in the files and in the names of their folders"):
        both.check(tmp_path / "orders")
    both.words["format"] = {"type": "parquet", "partitions": False}
    both.check(tmp_path / "orders")
    assert both.load(tmp_path / "orders").counts.inserted == 1
    assert warehouse.one("SELECT code FROM t") == "a"


SCOPED: dict[str, Any] = {
    "key": "id",
    "newest_by": "changed",
    "columns": {
        "id": "bigint", "amount": {"type": "numeric(12,2)", "between": [0, 1000]}, "day": "date",
        "code": {"type": "varchar(5)", "unique": True}, "changed": {"type": "timestamp", "required": True},
        "note": {"type": "text", "matches": "^[a-z ]*$"},
    },
    "checks": [
        {"expect_column_values_to_not_be_null": {"column": "note", "mostly": 0.6}},
        {"expect_column_values_to_be_in_set": {"column": "note", "value_set": ["in"], "severity": "warning"}},
        {"expect_table_row_count_to_be_between": {"min_value": 1, "max_value": 4}},
    ],
}  # fmt: skip
LONG_AGO = date(50, 1, 1)
WITHIN = [
    orders(
        (1, 1.25, DAY, "a", LATER, "in"),
        (2, 1.0, DAY, "b", None, "OUT, bad too"),
        (3, 1.255, DAY, "c", NOON, "in unless its amount is asked"),
        (4, 2.0, None, "d", NOON, None),
        (5, 5000.0, DAY, "e", NOON, "in, and bad"),
    ),
    orders(
        (1, 1.25, DAY, "f", NOON, "in, older"),
        (6, 1.25, DAY, "toolong", NOON, "in, code is long"),
        (7, 9.0, date(2024, 1, 2), "a", LATER, "OUT, of another one's code"),
        (8, 1.25, LONG_AGO, "h", NOON, "no day"),
        (9, None, DAY, None, NOON, None),
        (None, 7.0, DAY, "i", NOON, "out"),
    ),
]
SCOPES: tuple[dict[str, Any], ...] = (
    {"amount": [1.25, 5000]}, {"day": "2024-1-1"}, {"day": [None, "2024-01-01"], "amount": [1.25, None]},
    {"code": ["a", "f"]}, {"amount": 77}, {"changed": "2024-01-02T12:00:00"},
)  # fmt: skip


def test_records_out_of_the_scope_are_left_out_as_by_a_worker(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything is asked of them; one whose value is not of its type is not out of it."""
    caplog.set_level("INFO", "sluicegate.load")
    folder = spark_folder(tmp_path / "orders", WITHIN)
    for scope in SCOPES:
        both, found = Both(warehouse, job, {**SCOPED, "scope": scope}), []
        for check_on in ("worker", "cluster"):
            caplog.clear()
            warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
            warehouse.rows(TABLE.replace("NOT NULL CHECK (note <> 'newest of three')", ""))
            if check_on == "cluster":
                both.check(folder)
            try:
                report = both.load(folder, check_on=check_on).as_dict()
            except FaultError as failed:
                report = {"failed": (failed.code, failed.detail)}
            left_out = [text for text in caplog.messages if "out of the scope" in text]
            found.append(({**report, "seconds": 0}, both.kept(), left_out))
            if check_on == "cluster":
                assert both.fails(folder, scope={"id": 1}).code == "CHECKS_OUTDATED"
        assert found[1] == found[0], scope
        assert len(found[0][2]) == 1


def test_a_value_that_is_none_is_refused_before_there_is_a_cluster(warehouse: LoadWarehouse) -> None:
    for words in ({"scope": {"id": "x"}}, {"scope": {"amount": "1.255"}}, {"delete_when": {"day": "never"}}):
        request = warehouse.request("orders/", key="id", columns=SCOPED["columns"], format="parquet", **words)
        with pytest.raises(FaultError, match="is not a value of the column") as refused:
            cluster_plan(request, Path())
        assert refused.value.code == "WRONG_USE"
    for type_, value in (("time", "noon"), ("uuid", "1"), ("boolean", "maybe")):
        request = warehouse.request("orders/", columns={"v": {"type": type_, "in": [value]}}, format="parquet")
        with pytest.raises(FaultError, match="CHECK_BROKEN") as refused:
            cluster_plan(request, Path())
        assert f"is not a {type_}, which 'v' is" in refused.value.detail


KINDS = (
    "bigint", "smallint", "numeric(6,2)", "double", "real", "date", "timestamp", "timestamptz", "boolean", "time",
    "time(3)", "timestamp(3)", "timestamptz(0)",
)  # fmt: skip
TEXTS = (
    "01", " 1 ", "+1", "1.0", "1.5", "1e2", "0.5", ".5", "1d", "1f", "0x1F", "1_000", "1,000", "NaN", "inf", "", " ",
    "2024-01-01", "2024-1-1", "2024-01", "2024", "20240101", "2024-01-01 10:00:00", "2024-01-01T10:00", "24-01-01",
    "2024-01-01 00:00:00", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02", "2024-01-01 10:00:00.1234567",
    "10000-01-01", " 2024-01-01 ", "true", "f", "yes", "99999999999999999999", "123456.7", "1.250", "1.255", "1e400",
    "1", "2024-02-30", "1e-400", "16777217", "-0", "٣", "true\n", "1.5\n", " nan", "2024-01-01\n", "2024-01-01 10:00\n",
    "2024-01-01 10:00:00.123", "2024-01-01 10:00:00.1234000000", "2024-01-01 24:00:00", "1\u00a0", "\x0b1",
    "0099-12-31",
    "10:00", "7:5", "10:00:00", "10:00:00.50", "10:00:00.", "10:00:", "10:00:00.123456", "10:00:00.1234567",
    "10:00:00.1234560", "24:00", "24:00:00.0", "24:00:01", "23:59:60", "23:60", "10", " 10:00", "10:00 ", "10:00:00 ",
    "010:00", "10:00:00+02", "23:59:59.9999999", "10:00:00\n", "٣:00", "12: 1:30", "00:00:00.000001",
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
        *((kind, "inf") for kind in ("date", "timestamptz", "timestamptz(0)")),
        *((kind, "2024-01-01 24:00:00") for kind in KINDS if kind.startswith("timestamp")),
    }  # fmt: skip


ARROW: tuple[tuple[pa.DataType, list[Any]], ...] = (
    (pa.int64(), [0, 1, 2**53 + 1, 2**24 + 1, -(2**63)]),
    (pa.float64(), [0.1, 1.5, 3.0, 16777217.0, 2.0**53, 2.0**63, 1e16, 1e300, 1e-300, math.nan, -math.inf, -0.0]),
    (pa.float32(), [0.1, 0.5, 1.5, 3.0, 16777216.0, 2.0**31, math.nan, math.inf]),
    (pa.decimal128(38, 18), [*map(Decimal, ("0.1", "0." + 18 * "3", "1.50", "16777217", 2**53 + 1))]),
    (pa.date32(), [DAY, LONG_AGO]),
    (pa.timestamp("us"), [NOON, *map(datetime.fromisoformat, ("2024-01-01", "2024-01-01 00:00:00.000001"))]),
    (pa.timestamp("us", "UTC"), [NOON, *map(datetime.fromisoformat, ("2024-01-01", "2024-01-01 00:00:00.001"))]),
    (pa.bool_(), [True, False]),
)  # fmt: skip
NUMBERS, MOMENTS = KINDS[:5], ("date", "timestamp", "timestamptz", "timestamp(3)", "timestamptz(0)")
FROM = {"int64": NUMBERS, "double": NUMBERS, "float": NUMBERS, "decimal128(38, 18)": NUMBERS, "bool": ("boolean",)}


@pytest.mark.parametrize("old", [False, True])
def test_a_typed_value_is_what_a_worker_makes_of_it_or_a_dead_letter(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path, old: bool
) -> None:
    """Also of timestamps in the old form, in which Spark writes them."""
    cases = [
        (arrow, type_, value)
        for arrow, values in ARROW
        for type_ in FROM.get(str(arrow), MOMENTS)
        for value in values
        if not old or "timestamp" in str(arrow)
    ]
    pairs = list(dict.fromkeys((arrow, type_) for arrow, type_, _ in cases))
    columns: dict[str, Any] = {"line": pa.array(range(len(cases)), pa.int64())}
    for number, pair in enumerate(pairs):
        values = [value if (arrow, type_) == pair else None for arrow, type_, value in cases]
        columns[f"v{number}"] = pa.array(values, pair[0])
    folder = tmp_path / "typed"
    folder.mkdir()
    parquet.write_table(pa.table(columns), folder / "part-0.parquet", use_deprecated_int96_timestamps=old)
    types = {"line": "bigint", **{f"v{number}": type_ for number, (_, type_) in enumerate(pairs)}}
    both, found = Both(warehouse, job, {"key": "line", "columns": types}), []
    both.check(folder)
    for check_on in ("worker", "cluster"):
        warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        both.load(folder, check_on=check_on)
        values = ", ".join(f"v{number}::text" for number in range(len(pairs)))
        found.append({row[0]: row for row in warehouse.rows(f"SELECT line, {values} FROM t")})
    by_worker, by_cluster = found
    assert {line: by_worker.get(line) for line in by_cluster} == by_cluster
    stricter = {cases[line] for line in by_worker.keys() - by_cluster.keys()}
    assert {(str(arrow), type_, value) for arrow, type_, value in stricter} == {
        *(("float", type_, value) for type_, value in (("bigint", 16777216.0), ("bigint", 2.0**31)) if not old),
    }


@pytest.mark.parametrize("old", [False, True])
def test_a_moment_has_its_zone_or_none_in_letters_and_in_a_column_without_a_type(
    warehouse: LoadWarehouse, job: CheckJob, tmp_path: Path, old: bool
) -> None:
    folder = tmp_path / "moments"
    folder.mkdir()
    moments = {name: pa.array([NOON, NOON, LATER], pa.timestamp("us", "UTC")) for name in ("at", "since")}
    inside = pa.array([{"at": NOON}] * 3, pa.struct([("at", pa.timestamp("us", "UTC"))]))
    records = pa.table({"id": pa.array([1, 2, 2], pa.int64()), "n": [1, 99, 1], **moments, "inside": inside})
    parquet.write_table(records, folder / "part-0.parquet", use_deprecated_int96_timestamps=old)
    words = {"key": "id", "newest_by": "at", "columns": {"id": "bigint", "n": {"type": "bigint", "between": [0, 9]}}}
    words["columns"]["at"] = "timestamp" if old else "timestamptz"  # type: ignore[index]
    both, found = Both(warehouse, job, words), []
    both.check(folder)
    for check_on in ("worker", "cluster"):
        warehouse.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        report = both.load(folder, check_on=check_on)
        types = warehouse.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'")
        found.append((report.as_dict() | {"seconds": 0}, sorted(types), both.kept()))
    assert found[1] == found[0]
    assert ("since", "timestamp without time zone" if old else "timestamp with time zone") in found[0][1]
    assert len(found[0][2]["letters"]) == 1
