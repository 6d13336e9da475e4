"""Records of dead letters that keep only where they are: read again from their source, at the version they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import FaultError
from sluicegate.ledger.letters import Letter
from sluicegate.load.load import Source
from sluicegate.load.replay.values import Record, parsed
from sluicegate.pipeline.keys.load import Format
from sluicegate.records.dialect import Dialect
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart, Reader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["GONE", "Found", "Rereader"]

GONE = "their source is gone, and the letter does not hold the record: export it, write the record out, replay that"
CHANGED = "their source has changed since, and the letter does not hold the record: export it, write the record out"
_LESS = "their source has no such line any more"


@dataclass(frozen=True)
class Found:
    """A record as its source has it. `line` is the whole line where that can be read again by itself."""

    record: Record
    line: str | None


class Rereader:
    """Reads lines of sources. `folder` takes what is fetched; `names` are the columns of a file without a header."""

    def __init__(
        self,
        source: Source,
        duck: DuckDBPyConnection,
        form: Format,
        folder: Path,
        names: Sequence[str],
        dialect: Dialect,
    ) -> None:
        self._source, self._duck, self._form, self._folder = source, duck, form, folder
        self._names, self._dialect = tuple(names), dialect
        self._parts = 0

    def read(self, letters: Sequence[Letter]) -> dict[str, Found | str]:
        """By letter its record, or why it cannot be read.

        :raises FaultError: SOURCE_CHANGED when a source changes meanwhile, or as reading it does.
        """
        found: dict[str, Found | str] = {}
        ordered = sorted(letters, key=_place)
        for (uri, version), group in groupby(ordered, key=_place):
            found |= self._of_part(uri, version, list(group))
        return found

    def _of_part(self, uri: str, version: str, letters: Sequence[Letter]) -> dict[str, Found | str]:
        try:
            parts = [part for part in self._source.require_parts([uri]) if part.uri == uri]
        except FaultError as error:
            if error.code != "SOURCE_MISSING":
                raise
            parts = []
        if not parts or parts[0].version != version:
            return dict.fromkeys((letter.id for letter in letters), CHANGED if parts else GONE)
        [part] = parts
        local = LocalPart(self._parts, uri, version, self._source.fetch(part, self._folder))
        self._parts += 1
        reader = open_part(self._duck, local, self._form, self._folder, self._names, self._dialect)
        lines = self._lines(reader, [letter.line for letter in letters])
        self._source.verify(part)
        return {letter.id: lines.get(letter.line, _LESS) for letter in letters}

    def _lines(self, reader: Reader, lines: Sequence[int]) -> dict[int, Found]:
        columns = [f"r{number}" for number in range(len(reader.names))]
        values = "".join(f", CAST({column} AS VARCHAR) AS {column}" for column in columns)
        whole = reader.written or "NULL"
        hashed = f"sum(hash({', '.join(['line', *columns])}))"
        rows: list[tuple[Any, ...]] = []

        def use(relation: str) -> int:
            rows[:] = self._duck.execute(
                f"SELECT line, why, text, {whole}{values} FROM ({relation}) "
                "WHERE line IN (SELECT unnest($1::BIGINT[]))",
                [list(lines)],
            ).fetchall()
            # All values are looked at, so that a line which cannot be read shows here as it does in a load.
            counted = self._duck.execute(f"SELECT count(*), {hashed} FROM ({relation})").fetchone()
            assert counted is not None
            return int(counted[0])

        reader.read(use)
        return {row[0]: _found(row[1], row[2], row[3], dict(zip(reader.names, row[4:], strict=True))) for row in rows}


def _found(why: str | None, text: str | None, whole: str | None, values: Mapping[str, str | None]) -> Found:
    if why is not None:
        return Found(text or "", text)
    if whole is None:
        return Found(values, None)
    try:
        record: Record = parsed(whole)
    except ValueError:
        record = whole  # NaN and the like, which DuckDB reads
    return Found(record, whole)


def _place(letter: Letter) -> tuple[str, str]:
    return letter.source, letter.source_version
