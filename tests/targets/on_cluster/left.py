"""Folders with records, the loads that ask for them, and what a spark step leaves of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.records.on_cluster import checked_folder, cluster_plan
from tests.load.conftest import LoadWarehouse
from tests.load.test_on_cluster import CONTRACT
from tests.spark import CheckJob, spark_folder
from tests.targets.on_cluster.test_redshift import FIRST, SECOND

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))
ORIGIN = Origin("p", "load_orders", "run1", 1, WINDOW)
COPIED = {"format": "parquet", "origin": ORIGIN, "check_on": "cluster", "copy_from": "s3"}
BY_WORKER = {"check_on": "worker", "copy_from": "worker"}
RULES: dict[str, Any] = {"columns": CONTRACT["columns"], "checks": CONTRACT["checks"]}
MODES: dict[str, dict[str, Any]] = {
    "merge": CONTRACT,
    "append": RULES,
    "replace_window": {**RULES, "mode": "replace_window", "window_by": "changed"},
}
TYPES = {
    "smallint": "smallint", "integer": "integer", "bigint": "bigint", "real": "real", "double": "double precision",
    "numeric(38,20)": "numeric(38,20)", "boolean": "boolean", "date": "date", "timestamp": "timestamp",
    "timestamptz": "timestamptz", "uuid": "uuid", "text": "text", "varchar(40)": "varchar(40)",
}  # fmt: skip
ZONED = datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "smallint": [-32768, 0, None], "integer": [-(2**31), 7, None], "bigint": [2**63 - 1, -(2**63), None],
    "real": [1.1754944e-38, float("nan"), float("-inf")], "double": [5e-324, 1.7976931348623157e308, -0.0],
    "numeric(38,20)": [Decimal("123456789012345678.12345678901234567890"), Decimal("1E-20"), None],
    "boolean": [True, False, None], "date": [date(100, 1, 1), date(9999, 12, 31), None],
    "timestamp": [*map(datetime.fromisoformat, ("1582-10-10T00:00:00.999999", "9999-12-31T23:59:59")), None],
    "timestamptz": [ZONED, datetime(100, 1, 1, tzinfo=UTC), None],
    "uuid": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None],
    "text": ["", "\\N", "a\tb\nc\r\nd\\te\n\\.\n'\",ä\U0001f600\x01"], "varchar(40)": ["ä" * 40, " ", None],
}  # fmt: skip
ARROW = {
    "smallint": pa.int16(), "integer": pa.int32(), "real": pa.float32(), "numeric(38,20)": pa.decimal128(38, 20),
    "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
}  # fmt: skip


VALUED: dict[str, Any] = {"key": "id", "columns": {"id": "bigint", **{kind: kind for kind in TYPES}}}
ODD: dict[str, Any] = {
    "key": "code",
    "newest_by": "n",
    "columns": {
        "code": "char(3)", "n": "bigint", "doc": {"type": "jsonb", "required": True},
        "ref": {"type": "uuid", "in": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], "unique": True},
    },
}  # fmt: skip
SAME = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
RECORDS = [
    ("a", 1, '{"x": 1.50}', None), ("a ", 2, '{"x": 2}', None), ("abcd", 3, "[]", None), ("b", 4, "[1,", None),
    ("b", 3, '"older"', SAME.upper()), ("c", 5, None, None), ("d", 6, "1", "b" + SAME[1:]), ("e", 7, "1", "nonsense"),
    ("f", 8, "NaN", None), ("g", 9, '{"e": 1e99999}', None),
]  # fmt: skip
GONE: dict[str, Any] = {
    "key": "id",
    "newest_by": "at",
    "delete_when": {"op": ["D", "delete"]},
    "columns": {
        "id": {"type": "bigint", "between": [0, 100]}, "at": "bigint", "v": {"type": "text", "required": True,
        "matches": "^[a-z]*$"}, "n": "bigint", "ref": {"type": "text", "unique": True},
    },
    "checks": [
        {"expect_column_values_to_not_be_null": {"column": "n", "mostly": 0.7}},
        {"expect_column_values_to_be_in_set": {"column": "v", "value_set": ["a"], "severity": "warning"}},
    ],
}  # fmt: skip
CHANGES: list[tuple[Any, ...]] = [
    (1, 5, "a", 1, "x", None), (2, 5, None, None, None, "D"), (3, 5, "B!", 1, "y", "delete"), (4, 5, "B!", 1, "z", "U"),
    (500, 5, "a", 1, "q", "D"), (5, 5, "c", None, "x", "U"), (6, 5, "d", None, None, ""), (7, 1, None, None, None, "D"),
    (8, 5, "e", 1, None, "d"),
]  # fmt: skip
SCOPED: dict[str, Any] = {
    "key": "id",
    "scope": {"code": ["a", "c"], "at": ["10:0", None]},
    "columns": {
        "id": "bigint", "code": {"type": "varchar(2)", "unique": True}, "at": {"type": "time(3)", "in": ["10:00:00"]},
        "since": "timestamp(0)",
    },
    "checks": [{"expect_table_row_count_to_be_between": {"min_value": 1, "max_value": 1}}],
}  # fmt: skip
TIMED: list[tuple[Any, ...]] = [
    (1, "a", "10:00"), (2, "b", "10:00"), (3, "c", None), (4, "a", "11:00"), (5, "long", "10:00"), (6, "b", "noon"),
    (7, "c", "10:00:00.0005"), (9, None, "10:00"), (10, "a", "24:00"),
]  # fmt: skip


def leave(root: Path, job: CheckJob) -> Path:
    """What spark steps have left, by the folder's name in the bucket `lake`."""
    values = pa.table({kind: pa.array(some, ARROW.get(kind)) for kind, some in VALUES.items()})
    values = values.append_column("id", pa.array([1, 2, 3], pa.int64()))
    columns = dict(zip([*GONE["columns"], "op"], map(list, zip(*CHANGES, strict=True)), strict=True))
    changes = pa.table(columns)
    moments = [ZONED.replace(tzinfo=None, microsecond=int(number == 3)) for number, *_ in TIMED]
    timed: dict[str, Any] = dict(zip(["id", "code", "at"], map(list, zip(*TIMED, strict=True)), strict=True))
    wanted: list[tuple[str, list[pa.Table], dict[str, Any]]] = [
        *((f"{mode}0", FIRST, MODES[mode]) for mode in MODES),
        ("merge1", SECOND, MODES["merge"]),
        ("values", [values], VALUED),
        ("gone", [changes], GONE),
        ("scoped", [pa.table({**timed, "since": pa.array(moments, pa.timestamp("us"))})], SCOPED),
        ("odd", [pa.table(dict(zip(ODD["columns"], map(list, zip(*RECORDS, strict=True)), strict=True)))], ODD),
    ]
    for name, tables, words in wanted:
        folder = spark_folder(root / name, tables)
        request = LoadWarehouse("", root).request(f"s3://lake/{name}/", **{**COPIED, **words})
        job.run(cluster_plan(request, root), f"{folder}/", checked_folder(f"{folder}/", "load_orders"))
    return root
