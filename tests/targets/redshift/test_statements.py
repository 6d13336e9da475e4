"""The statements for Redshift, which nothing here can run: held word by word and parsed. On a stand-in they are run by
`test_loads.py` and `test_like_postgres.py`.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import parse_type
from sluicegate.targets.redshift.dialect import staged_type, stored_type
from sluicegate.targets.redshift.statements import (
    STAGE,
    add_column,
    append,
    broken_keys,
    bury,
    constant,
    copy_in,
    counts,
    create_deleted,
    create_stages,
    create_table,
    decide,
    decide_buried,
    fill_stage,
    leave_out,
    merge,
    replaced_where,
    twice,
)
from sluicegate.targets.target import Replaced

GOLDEN = Path(__file__).parent / "golden"
TABLE = '"sales"."orders"'
DELETED = "sluicegate.deleted_0123456789abcdef"
TYPES = {
    "id": "bigint", "Item": "text", "n": "numeric(12,2)", "at": "timestamptz", "u": "uuid", "d": "double",
    "c": "char(2)", "j": "json", "b": "boolean", "h": "time",
}  # fmt: skip
COLUMNS = {name: parse_type(type_) for name, type_ in TYPES.items()}
NAMES = list(COLUMNS)
SETS: dict[str, dict[str, Any]] = {
    "merge": {"key": ["id"], "mode": Mode.MERGE, "newest_by": None, "has_tombstones": False},
    "merge_newest_with_deletions": {"key": ["id", "c"], "mode": Mode.MERGE, "newest_by": "at", "has_tombstones": True},
    "insert_only": {"key": ["id"], "mode": Mode.INSERT_ONLY, "newest_by": None, "has_tombstones": False},
    "append": {"key": [], "mode": Mode.APPEND, "newest_by": None, "has_tombstones": False},
    "append_by_key": {"key": ["id"], "mode": Mode.APPEND, "newest_by": None, "has_tombstones": False},
    "replace_window": {"key": [], "mode": Mode.REPLACE_WINDOW, "newest_by": None, "has_tombstones": False},
}


def script(key: list[str], mode: Mode, newest_by: str | None, has_tombstones: bool) -> list[str]:
    """All statements of a load, in their order."""
    appends = mode in {Mode.APPEND, Mode.REPLACE_WINDOW}
    words = {"has_tombstones": has_tombstones, "numbered": appends and bool(key)}
    found = [create_table(TABLE, COLUMNS, key), add_column(TABLE, "late", COLUMNS["n"])]
    if mode is Mode.REPLACE_WINDOW:
        scope: dict[str, tuple[str | None, ...]] = {"c": ("A'\\", None), "id": ("1", "2")}
        which = replaced_where(Replaced("at", date(2026, 1, 1), date(2026, 1, 2), scope))
        found += [f"SELECT count(*) FROM {TABLE} WHERE {which}", f"DELETE FROM {TABLE} WHERE {which}"]
    copied = {name: (staged_type if key else stored_type)(type_) for name, type_ in COLUMNS.items()}
    found += create_stages(COLUMNS, copied, **words)
    found += [
        copy_in("s3://stage/x-", "arn:aws:iam::1:role/load", is_manifest=not key),
        fill_stage(COLUMNS, copied, **words),
    ]
    if appends:
        return [*found, *([broken_keys(TABLE, key), leave_out([3, 5])] if key else []), append(TABLE, NAMES)]
    found += [twice(TABLE, key), twice(STAGE, key)]
    found.append(decide(TABLE, COLUMNS, key, mode, newest_by, has_tombstones=has_tombstones))
    if newest_by is not None:
        found += [create_deleted(DELETED), decide_buried(DELETED, COLUMNS, key, newest_by)]
        found += bury(DELETED, COLUMNS, key, newest_by, has_tombstones=has_tombstones)
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


def test_a_backslash_is_not_left_to_a_literal() -> None:
    assert constant("a\\' OR true --") == "'a' || chr(92) || ''' OR true --'"
