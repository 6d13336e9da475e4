"""The statements for Redshift, which nothing here can run: held word by word, parsed, and run on Postgres where that
has the same syntax.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import parse_type
from sluicegate.targets.redshift.statements import (
    copy_in,
    counts,
    create_stage,
    create_table,
    decide,
    delete_window,
    merge,
    twice,
)
from sluicegate.targets.target import Replaced

GOLDEN = Path(__file__).parent / "golden"
TABLE = '"sales"."orders"'
TYPES = {
    "id": "bigint", "Item": "text", "n": "numeric(12,2)", "at": "timestamptz", "u": "uuid", "d": "double",
    "c": "char(2)",
}  # fmt: skip
COLUMNS = {name: parse_type(type_) for name, type_ in TYPES.items()}
NAMES = list(COLUMNS)
SETS: dict[str, dict[str, Any]] = {
    "merge": {"key": ["id"], "mode": Mode.MERGE, "newest_by": None, "has_tombstones": False},
    "merge_newest_with_deletions": {"key": ["id", "c"], "mode": Mode.MERGE, "newest_by": "at", "has_tombstones": True},
    "insert_only": {"key": ["id"], "mode": Mode.INSERT_ONLY, "newest_by": None, "has_tombstones": False},
    "append": {"key": [], "mode": Mode.APPEND, "newest_by": None, "has_tombstones": False},
    "replace_window": {"key": [], "mode": Mode.REPLACE_WINDOW, "newest_by": None, "has_tombstones": False},
}


def script(key: list[str], mode: Mode, newest_by: str | None, has_tombstones: bool) -> list[str]:
    """All statements of a load, in their order."""
    found = [create_table(TABLE, COLUMNS, key), create_stage(COLUMNS, has_tombstones=has_tombstones)]
    role = "arn:aws:iam::1:role/o'load"
    found.append(copy_in(NAMES, "s3://stage/x.parquet", role, has_tombstones=has_tombstones))
    if key:
        found.append(twice(TABLE, key))
    if mode is Mode.REPLACE_WINDOW:
        scope: dict[str, tuple[object, ...]] = {"c": ("A'", None), "id": (1, 2)}
        found.append(delete_window(TABLE, Replaced("at", date(2026, 1, 1), date(2026, 1, 2), scope)))
    found += decide(TABLE, NAMES, key, mode, newest_by, has_tombstones=has_tombstones)
    return [*found, counts(), *merge(TABLE, NAMES, key)]


@pytest.mark.parametrize("name", SETS)
def test_the_statements_are_those_that_were_read(name: str) -> None:
    """`WRITE_GOLDEN=1` writes them anew: read what changes."""
    text = "".join(f"{statement};\n" for statement in script(**SETS[name]))
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SETS)
def test_a_parser_of_redshift_takes_each_statement(name: str) -> None:
    for statement in script(**SETS[name]):
        [parsed] = sqlglot.parse(statement, read="redshift", error_level=sqlglot.ErrorLevel.RAISE)
        assert parsed is not None
        assert not isinstance(parsed, sqlglot.exp.Command), f"not understood: {statement}"


ROWS = st.dictionaries(
    st.integers(1, 5), st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([None, 1, 2])), max_size=5
)
RECORDS = st.dictionaries(
    st.integers(1, 5),
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([None, 1, 2]), st.booleans()),
    max_size=5,
)


def expected(rows: Any, records: Any, newest_by: bool, tombstones: bool) -> tuple[dict[int, Any], dict[str, int]]:
    table, found = dict(rows), dict.fromkeys(("inserted", "updated", "unchanged", "stale", "deleted"), 0)
    for key, (v, at, gone) in records.items():
        gone = gone and tombstones
        if key not in rows:
            fate = "unchanged" if gone else "inserted"
        elif newest_by and (rows[key][1] or 0) > (at or 0):
            fate = "stale"
        elif gone:
            fate = "deleted"
        else:
            fate = "unchanged" if rows[key] == (v, at) else "updated"
        found[fate] += 1
        if fate in {"inserted", "updated"}:
            table[key] = (v, at)
        if fate == "deleted":
            del table[key]
    return table, {fate: count for fate, count in found.items() if count}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, records=RECORDS, newest_by=st.booleans(), tombstones=st.booleans())
def test_on_postgres_they_do_what_a_model_of_a_merge_does(
    warehouse: Any, rows: Any, records: Any, newest_by: bool, tombstones: bool
) -> None:
    import psycopg

    columns = {name: parse_type(type_) for name, type_ in (("id", "bigint"), ("v", "text"), ("at", "integer"))}
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.execute(create_table('"t"', columns, ["id"]).encode())
        connection.execute(create_stage(columns, has_tombstones=True).encode())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", [(k, *row) for k, row in rows.items()])
            cursor.executemany(
                "INSERT INTO sluicegate_stage VALUES (%s, %s, %s, %s)", [(k, *r) for k, r in records.items()]
            )
        asked = decide('"t"', list(columns), ["id"], Mode.MERGE, "at" if newest_by else None, has_tombstones=tombstones)
        for statement in asked:
            connection.execute(statement.encode())
        found = dict(connection.execute(counts().encode()).fetchall())
        for statement in merge('"t"', list(columns), ["id"]):
            connection.execute(statement.encode())
        table = {key: tuple(row) for key, *row in connection.execute("SELECT * FROM t").fetchall()}
        assert connection.execute(twice('"t"', ["id"]).encode()).fetchall() == []
        connection.rollback()
    assert (table, found) == expected(rows, records, newest_by, tombstones)
