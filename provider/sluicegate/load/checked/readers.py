"""What the job on a cluster left of a part: records that pass, with the contract's types, and the others unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.spark_job import LINE, PART, REASONS
from sluicegate.records.dialect import Dialect
from sluicegate.records.parquet import ParquetReader
from sluicegate.records.reader import LocalPart

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CheckedPart", "checked_parts", "number_of"]

FAILURES = "failures"
"""The column of a relation with the rules that a rejected record breaks, as JSON."""


class CheckedPart(ParquetReader):
    """The records of `part` in some files of the job. `line` is that of the part itself."""

    def __init__(
        self, duck: DuckDBPyConnection, part: LocalPart, number: int, files: Sequence[ParquetReader], dialect: Dialect
    ) -> None:
        self.duck, self.part, self._dialect = duck, part, dialect
        self._number, self._files = number, files
        first = files[0]
        self._places = {name: first.names.index(name) for name in (PART, LINE, REASONS) if name in first.names}
        self.names = tuple(name for name in first.names if name not in self._places)
        self.types = {name: first.types[name] for name in self.names}
        self.is_rejected = REASONS in self._places

    @property
    def most(self) -> int | None:
        return None

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        own = [place for place in range(len(self._files[0].names)) if place not in self._places.values()]
        values = "".join(f", r{place} AS r{number}" for number, place in enumerate(own))
        failures = f", r{self._places[REASONS]} AS {FAILURES}" if self.is_rejected else ""
        asked = f"SELECT r{self._places[LINE]} AS line, why, text{values}{failures}"
        some = f"r{self._places[PART]} = {self._number}"
        relations = [f"{asked} FROM ({_relation(file)}) WHERE {some}" for file in self._files]
        use(f"SELECT * FROM ({' UNION ALL '.join(relations)}) ORDER BY line")


def checked_parts(
    duck: DuckDBPyConnection,
    parts: Sequence[LocalPart],
    rejected: Iterable[Path],
    passed: Iterable[Path],
    dialect: Dialect,
) -> list[CheckedPart]:
    """The readers of what the job left of `parts`, in their order: of each what was rejected, then what passed."""
    opened = [[_open(duck, path, dialect) for path in paths] for paths in (rejected, passed)]
    left = [_by_part(duck, readers) for readers in opened]
    found = [
        CheckedPart(duck, replace(part, number=number_of(number) - 1 + kind), number, some, dialect)
        for number, part in enumerate(parts)
        for kind, files in enumerate(left)
        if (some := files.get(number))
    ]
    if not found and parts and (files := [*opened[1], *opened[0]]):
        return [CheckedPart(duck, parts[0], 0, files[:1], dialect)]  # No records, but columns.
    return found


def number_of(part: int) -> int:
    """The number that what passed of a part has in the order of reading; what was rejected is right before it."""
    return 2 * part + 1


def _open(duck: DuckDBPyConnection, path: Path, dialect: Dialect) -> ParquetReader:
    return ParquetReader(duck, LocalPart(0, str(path), "", path), dialect)


def _by_part(duck: DuckDBPyConnection, readers: Iterable[ParquetReader]) -> dict[int, list[ParquetReader]]:
    """By the number of a part, the files with records of it."""
    found: dict[int, list[ParquetReader]] = {}
    for reader in readers:
        numbers = f"SELECT DISTINCT r{reader.names.index(PART)} FROM ({_relation(reader)})"
        for (number,) in duck.execute(numbers).fetchall():
            found.setdefault(number, []).append(reader)
    return found


def _relation(reader: ParquetReader) -> str:
    said: list[str] = []
    reader.read(lambda relation: said.append(relation) or 0)  # type: ignore[func-returns-value]
    return said[0]
