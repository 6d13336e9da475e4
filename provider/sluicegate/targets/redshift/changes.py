"""What a merge would change, for a dry run: by column, how many rows, and some of them before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluicegate.checks.sql import name_of
from sluicegate.records.types import ColumnType
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.dialect import text_of
from sluicegate.targets.redshift.statements import FATE, STAGE, differs, same_key
from sluicegate.targets.target import Change, Changes

__all__ = ["changes_of"]

_SAMPLE = 5
"""Rows of each kind."""


def changes_of(
    connection: RedshiftConnection, table: str, columns: Mapping[str, ColumnType], key: Sequence[str]
) -> Changes:
    """The changes by the staged records, whose fates are decided and not carried out."""
    others = [name for name in columns if name not in key] if key else []
    counts: dict[str, int] = {}
    sample: list[Change] = []
    if others:
        updated = f"FROM {STAGE} JOIN {table} AS t ON {same_key(key, STAGE)} WHERE {STAGE}.{FATE} = 'updated'"
        each = ", ".join(f"sum(CASE WHEN {differs(name, columns[name])} THEN 1 ELSE 0 END)" for name in others)
        row = connection.execute(f"SELECT {each} {updated}")[0]
        counts = {name: int(count) for name, count in zip(others, row, strict=True) if count}
        sample = _updates(connection, columns, key, others, updated)
    names = list(columns)
    texts = ", ".join(_texts(STAGE, columns, names))
    rows = connection.execute(f"SELECT {texts} FROM {STAGE} WHERE {FATE} = 'inserted' LIMIT {_SAMPLE}")
    new = [dict(zip(names, row, strict=True)) for row in rows]
    sample += [Change({name: row[name] for name in key}, None, row) for row in new]
    return Changes(counts, tuple(sample))


def _updates(
    connection: RedshiftConnection,
    columns: Mapping[str, ColumnType],
    key: Sequence[str],
    others: Sequence[str],
    updated: str,
) -> list[Change]:
    values = [*_texts(STAGE, columns, key), *_texts("t", columns, others), *_texts(STAGE, columns, others)]
    found = []
    for row in connection.execute(f"SELECT {', '.join(values)} {updated} LIMIT {_SAMPLE}"):
        keys, end = len(key), len(key) + len(others)
        before = dict(zip(others, row[keys:end], strict=True))
        after = dict(zip(others, row[end:], strict=True))
        differ = [name for name in others if before[name] != after[name]]
        found.append(
            Change(
                dict(zip(key, row[:keys], strict=True)),
                {name: before[name] for name in differ},
                {name: after[name] for name in differ},
            )
        )
    return found


def _texts(alias: str, columns: Mapping[str, ColumnType], names: Sequence[str]) -> list[str]:
    return [text_of(columns[name], f"{alias}.{name_of(name)}") for name in names]
