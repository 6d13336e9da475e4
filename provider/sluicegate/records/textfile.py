"""What CSV and JSON lines share: a quick way through DuckDB's own reader, and a careful one through `lines`."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal
from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.engine import with_room
from sluicegate.records.lines import CLEAN
from sluicegate.records.look import Look
from sluicegate.records.notation import PLAIN as PLAIN_NOTATION
from sluicegate.records.notation import Notation
from sluicegate.records.reader import LocalPart

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["PLAIN", "ROWS", "TextReader"]

PLAIN = "header=false, auto_detect=false, compression='none', strict_mode=true, hive_partitioning=false"
ROWS = PLAIN + ", quote='\"', escape='\"', allow_quoted_nulls=true"


@dataclass
class TextReader:
    """What CSV and JSON lines share: first the quick way, and the careful one when that does not add up."""

    duck: DuckDBPyConnection
    part: LocalPart
    form: Format
    look: Look
    folder: Path
    names: tuple[str, ...] = ()
    is_text: bool = True
    written: str | None = None
    notation: Notation = PLAIN_NOTATION
    types: dict[str, str] = field(default_factory=dict)
    _cut: int | None = None
    _careful: dict[int | None, int] = field(default_factory=dict)
    """Records, once the file or its first so many records were put right."""

    @property
    def may_hold_nul(self) -> bool:
        return self.look.nul

    @property
    def most(self) -> int | None:
        return None if self.look.carriage else self.look.lines

    @property
    def skipped(self) -> int:
        return 0

    def cut(self, most: int | None) -> None:
        self._cut = most

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        with_room(self.duck, lambda: self._read(use, numbered=numbered))

    def _read(self, use: Callable[[str], int], *, numbered: bool) -> None:
        import duckdb

        if self._is_quick():
            self.duck.execute("BEGIN")
            try:
                if use(self._quick_relation(numbered=numbered)) == self.expected:
                    self.duck.execute("COMMIT")
                    return
            except (FaultError, duckdb.OutOfMemoryException):
                self.duck.execute("ROLLBACK")
                raise
            except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.NotImplementedException):
                pass  # A malformed line, or one that is longer than what is read at once: the careful way says which.
            self.duck.execute("ROLLBACK")
        if self._cut not in self._careful:
            self._careful[self._cut] = self._normalise()
        expected = self._careful[self._cut]
        self.duck.execute("BEGIN")
        try:
            found = use(self._careful_relation())
            if found != expected:
                raise fault(
                    "SOURCE_UNREADABLE",
                    f"{self.part.uri}: {expected} records were found and {found} could be read",
                    uri=self.part.uri,
                )
        except BaseException:
            self.duck.execute("ROLLBACK")
            raise
        self.duck.execute("COMMIT")

    @property
    def _clean(self) -> Path:
        return self.folder / f"part{self.part.number}.{self._cut or ''}clean.csv"

    @property
    def _malformed(self) -> Path:
        return self.folder / f"part{self.part.number}.{self._cut or ''}malformed.csv"

    def _is_quick(self) -> bool:
        return self._cut is None and None not in self._careful and self._is_regular()

    def _is_regular(self) -> bool:
        encoding = codecs.lookup(self.form.encoding).name
        is_utf8 = encoding in {"utf-8", "utf-8-sig"} or (encoding == "ascii" and self.look.ascii)
        return is_utf8 and not self.look.carriage

    @property
    def expected(self) -> int:
        """The records that the file has if each of its lines is one."""
        raise NotImplementedError

    @property
    def form_alike(self) -> tuple[object, ...] | None:
        """What files have in common that one `scan` may read; None where a line might not be a record."""
        raise NotImplementedError

    def scan(self, files: str) -> str:
        """SQL of the call that reads the lines of `files`, which are of this file's form."""
        raise NotImplementedError

    def together(self, lines: str, names: Sequence[str]) -> str:
        """SQL of the records that the `lines` of several files are, each with its `part`; `line` is NULL.

        :param names: the columns of all of them
        """
        raise NotImplementedError

    def _quick_relation(self, *, numbered: bool) -> str:
        raise NotImplementedError

    def _careful_relation(self) -> str:
        raise NotImplementedError

    def _normalise(self) -> int:
        raise NotImplementedError

    def _set_aside(self) -> str:
        """The relation of the lines that were set aside, without raw values."""
        columns = "{'line': 'BIGINT', 'text': 'VARCHAR', 'why': 'VARCHAR'}"
        options = f"{ROWS}, {CLEAN}, delim=',', nullstr='', columns={columns}"
        return f"SELECT line, why, coalesce(text, '') AS text FROM read_csv({literal(str(self._malformed))}, {options})"
