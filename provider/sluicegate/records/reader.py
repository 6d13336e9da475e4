"""What a part of a source looks like once it is opened: DuckDB relations of raw records. Only reading.

A relation has the columns `line`, `why` (it is malformed), `text` (the line, where it is known) and `r0`, `r1`, ... in
the order of `names`. Values of CSV and JSON are texts. Nothing is cast or checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sluicegate.records.notation import Notation

__all__ = ["MALFORMED", "LocalPart", "Provenance", "Reader", "Shape"]

MALFORMED = "malformed"
"""The rule that a record breaks which could not be split into values."""


@dataclass(frozen=True)
class Provenance:
    """Where a record was first read: the part, its version, and its first line there, from 1.

    `letter` is the id of the dead letter that it was since then, if it was one.
    """

    source: str
    version: str
    line: int
    letter: str | None = None


@dataclass(frozen=True)
class LocalPart:
    """One part of the source, fetched. `number` is its place in the order of reading, from 0."""

    number: int
    uri: str
    version: str
    path: Path

    def provenance(self, line: int) -> Provenance:
        """Where the record at `line` is from, which is what identifies its dead letter. A part that carries records
        of other sources answers for each of them.
        """
        return Provenance(self.uri, self.version, line)


class Shape(Protocol):
    """What records of one relation have in common. `names` are their columns; `is_text` whether raw values are texts,
    written in `notation`.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def is_text(self) -> bool: ...

    @property
    def notation(self) -> Notation: ...

    @property
    def types(self) -> Mapping[str, str]:
        """DuckDB's types of the columns, where the file has types."""

    @property
    def may_hold_nul(self) -> bool: ...

    @property
    def written(self) -> str | None:
        """SQL of a whole record as the file has it, where it is written with its names."""


class Reader(Shape, Protocol):
    """One part, opened."""

    part: LocalPart

    @property
    def skipped(self) -> int:
        """The lines before the first record."""

    @property
    def most(self) -> int | None:
        """The part has so many records at most; None where that is not known before it is read."""

    def cut(self, most: int | None) -> None:
        """From now on, read the first so many records alone; None: all of them."""

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        """Call `use` with the relation's SQL; it returns how many records it saw.

        Unless it is to be `numbered`, `line` may be NULL in all of it: numbering takes longer than reading. There is
        then one record in each line behind those `skipped`, in the file's order.

        When they are not as many as the file has lines, or DuckDB refuses the file, what `use` did is rolled
        back and it is called once more with a relation that was put right. What an exception ends is rolled back too.
        """
