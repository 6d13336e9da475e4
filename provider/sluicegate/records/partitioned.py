"""A part below partition folders: what they say of its records are further columns."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal
from sluicegate.records.reader import Reader
from sluicegate.storage.partitions import partition_values

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["PartitionedReader", "in_json", "with_front", "with_partitions"]

log = logging.getLogger("sluicegate.load")


class PartitionedReader:
    """`reader`, with the columns of `values` behind its own. They are texts, and NULL where Hive has no value."""

    def __init__(self, reader: Reader, values: Mapping[str, str | None]) -> None:
        self.reader, self.values = reader, dict(values)
        self.part, self.is_text, self.notation = reader.part, reader.is_text, reader.notation
        self.names = (*reader.names, *values)
        self.types = {**reader.types, **dict.fromkeys(values, "VARCHAR")}

    @property
    def may_hold_nul(self) -> bool:
        return self.reader.may_hold_nul

    @property
    def most(self) -> int | None:
        return self.reader.most

    @property
    def written(self) -> str | None:
        """The record as it is written, with the values of the folders in front."""
        text = self.reader.written
        return None if text is None else with_front(text, literal(in_json(self.values)))

    @property
    def skipped(self) -> int:
        return self.reader.skipped

    def cut(self, most: int | None) -> None:
        self.reader.cut(most)

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        own = len(self.reader.names)
        more = "".join(
            f", {'NULL' if value is None else literal(value)}::VARCHAR AS r{own + number}"
            for number, value in enumerate(self.values.values())
        )
        self.reader.read(lambda relation: use(f"SELECT *{more} FROM ({relation})"), numbered=numbered)


def in_json(values: Mapping[str, str | None]) -> str:
    """What of a JSON object says `values`: without its braces."""
    return json.dumps(dict(values), ensure_ascii=False)[1:-1]


def with_front(text: str, front: str) -> str:
    """SQL of the JSON object in `text` with what `front` says before its own values; both are SQL."""
    rest = f"substr({text}, position('{{' IN {text}) + 1)"
    return (
        f"CASE WHEN regexp_full_match({rest}, '\\s*\\}}\\s*') THEN '{{' || {front} || '}}' "
        f"ELSE '{{' || {front} || ', ' || ltrim({rest}) END"
    )


def with_partitions(duck: DuckDBPyConnection, reader: Reader) -> Reader:
    """`reader` with the columns that the folders of its part name. What the file itself has is taken from the file,
    with a warning where that differs.

    :raises FaultError: SOURCE_UNREADABLE when the folders do not agree.
    """
    values = partition_values(reader.part.uri)
    if not values or not reader.names:
        return reader
    for name in values.keys() & set(reader.names):
        _compare(duck, reader, name, values[name])
    more = {name: value for name, value in values.items() if name not in reader.names}
    return PartitionedReader(reader, more) if more else reader


def _compare(duck: DuckDBPyConnection, reader: Reader, name: str, value: str | None) -> None:
    text = f"CAST(r{reader.names.index(name)} AS VARCHAR)"
    said = "NULL" if value is None else literal(value)
    number = "DECIMAL(38, 9)"
    same = f"({text} IS NOT DISTINCT FROM {said} OR TRY_CAST({text} AS {number}) = TRY_CAST({said} AS {number}))"
    others = 0

    def count(relation: str) -> int:
        nonlocal others
        query = f"SELECT count(*), count(*) FILTER (why IS NULL AND NOT coalesce({same}, false)) FROM ({relation})"
        row = duck.execute(query).fetchone()
        assert row is not None
        others = int(row[1])
        return int(row[0])

    reader.read(count)
    if others:
        log.warning(
            "%s: %s records have another %r than their folder, which says %r; the file's values are loaded",
            reader.part.uri, f"{others:,}", name, value,
        )  # fmt: skip
