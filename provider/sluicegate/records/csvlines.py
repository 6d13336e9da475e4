"""The grammar of CSV, for the files that DuckDB does not read as it should.

It is DuckDB's strict grammar, so that a line gives the same record whichever of the two reads it: a value is quoted
that begins with a quote, after one space at most; spaces behind the closing quote do not count; values beyond the
last column are ignored when they are empty or mean NULL.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sluicegate.records.lines import MAX_RECORD, Line, Lines, Separated, byte_size, open_text, why_unfit

__all__ = ["CsvShape", "CsvStart", "MalformedError", "normalise_csv", "read_start", "said_delimiter", "split_line"]

_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


class MalformedError(ValueError):
    """What is wrong with a record that cannot be split into values."""


@dataclass(frozen=True)
class CsvShape:
    """How a CSV file is written. `null` are the texts that mean NULL."""

    delimiter: str
    encoding: str
    header: bool
    null: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class CsvStart:
    """How a file begins. `delimiter` is what a first line `sep=;` says, `first` the first record, if there is one."""

    delimiter: str | None
    first: list[str] | None
    before: int
    """The lines before that record."""
    lines: int
    """The lines that it takes."""


class _Fields:
    """Splits one record into its values."""

    def __init__(self, delimiter: str) -> None:
        d = re.escape(delimiter)
        # Where a space delimits, it is not padding.
        before, behind = ("", "") if delimiter.startswith(" ") else (" ?", " *")
        until = f"[^{d}]*+" if len(delimiter) == 1 else rf"(?:(?!{d})[\s\S])*+"
        self._quoted = re.compile(rf'{before}"((?:[^"]|"")*+)"{behind}(?={d}|\Z)')
        self._open = re.compile(rf'{before}"(?:[^"]|"")*+\Z')
        self._plain = re.compile(rf'(?!{before}")({until})')
        self.delimiter = delimiter

    def split(self, record: str) -> tuple[list[str], bool]:
        """The values, and whether they are all: else a quote is still open at the record's end.

        :raises MalformedError: when a quoted value has something behind its closing quote.
        """
        if '"' not in record:
            return record.split(self.delimiter), True
        fields: list[str] = []
        at = 0
        while True:
            if match := self._quoted.match(record, at):
                fields.append(match[1].replace('""', '"'))
            elif match := self._plain.match(record, at):
                fields.append(match[1])
            elif self._open.match(record, at):
                return fields, False
            else:
                raise MalformedError(f"field {len(fields) + 1} has text after its closing quote")
            at = match.end()
            if at >= len(record):
                return fields, True
            at += len(self.delimiter)


class _Records:
    """The records of a file, each with its first line, or why that line is malformed.

    :param width: how many values a record has, where that is known.
    """

    def __init__(self, lines: Lines, shape: CsvShape, delimiter: str, width: int | None) -> None:
        self._lines, self._shape, self._width = lines, shape, width
        self._fields = _Fields(delimiter)

    def __iter__(self) -> Iterator[tuple[int, str, list[str] | MalformedError, int]]:
        """Number and text of the record's first line, its values, and how many lines it takes."""
        width, delimiter, split = self._width, self._fields.delimiter, self._fields.split
        for line in self._lines:
            number, text, _, size = line
            if not text:
                continue
            taken: list[Line] = []
            try:
                if text.isascii() and size <= MAX_RECORD:  # as most lines are
                    values, complete = split(text) if '"' in text else (text.split(delimiter), True)
                    if complete and len(values) == width:
                        yield number, text, values, 1
                        continue
                yield number, text, self._of_width(self._record(line, taken)), 1 + len(taken)
            except MalformedError as error:
                # One bad line must not take its neighbours with it: the search goes on right below it.
                self._lines.give_back(taken)
                yield number, text, error, 1

    def _record(self, line: Line, taken: list[Line]) -> list[str]:
        """The values of the record that begins with `line`; the lines that it takes besides go to `taken`."""
        _, text, _, size = line
        if why := why_unfit(text, size, self._shape.encoding):
            raise MalformedError(why)
        fields, complete = self._fields.split(text)
        return fields if complete else self._continued(line, len(fields) + 1, taken)

    def _continued(self, line: Line, opened: int, taken: list[Line]) -> list[str]:
        not_closed = MalformedError(f"the quote that opens field {opened} is not closed")
        _, text, end, _ = line
        parts, total = [text, end], byte_size(text)
        while (more := self._lines.next()) is not None:
            taken.append(more)
            _, text, end, size = more
            total += byte_size(text) + len(end)
            if total > MAX_RECORD or why_unfit(text, size, self._shape.encoding):
                raise not_closed
            if '"' in text:
                try:
                    fields, complete = self._fields.split("".join([*parts, text]))
                except MalformedError:
                    raise not_closed from None
                if complete:
                    return fields
            parts += (text, end)
        raise not_closed

    def _of_width(self, record: list[str]) -> list[str]:
        """`record` without surplus values that say nothing."""
        width = self._width
        if width is None or len(record) == width:
            return record
        if len(record) > width and all(not value or value in self._shape.null for value in record[width:]):
            return record[:width]
        raise MalformedError(f"{width} field{'' if width == 1 else 's'} expected, {len(record)} found")


def read_start(path: Path, shape: CsvShape) -> CsvStart:
    """What `path` begins with: perhaps `sep=;`, then the first record that is not blank.

    :raises MalformedError: when that record is not well formed.
    """
    with open_text(path, shape.encoding) as text:
        lines = Lines(text)
        said = _sep_line(lines)
        for number, _, record, taken in _Records(lines, shape, said or shape.delimiter, width=None):
            if isinstance(record, MalformedError):
                raise record
            return CsvStart(said, record, number - 1, taken)
    return CsvStart(said, None, 1 if said else 0, 0)


def said_delimiter(line: str) -> str | None:
    """The delimiter that a first line `sep=;` says, which Excel writes and understands."""
    found = _SEP.fullmatch(line.rstrip("\r\n").removeprefix("\ufeff"))
    return found[1] if found else None


def _sep_line(lines: Lines) -> str | None:
    line = lines.next()
    if line is None:
        return None
    if (said := said_delimiter(line[1])) is None:
        lines.give_back([line])
    return said


def split_line(text: str, shape: CsvShape, width: int) -> list[str]:
    """The values of one record on its own, as a file that contains nothing else would have them.

    :raises MalformedError: when it is not one record of so many values.
    """
    records = list(_Records(Lines(io.StringIO(text, newline="\n")), shape, shape.delimiter, width))
    if len(records) != 1:
        raise MalformedError(f"one record expected, {len(records)} found")
    [(_, _, record, _)] = records
    if isinstance(record, MalformedError):
        raise record
    return record


def normalise_csv(
    path: Path, shape: CsvShape, width: int, clean: Path, malformed: Path, most: int | None = None
) -> int:
    """Write the records, the first `most` of them, with their line numbers to `clean`, malformed lines to `malformed`.
    How many of both.
    """
    count = 0
    with open_text(path, shape.encoding) as text, Separated(clean, malformed) as separated:
        lines = Lines(text)
        said = _sep_line(lines)
        if shape.header:
            next(iter(_Records(lines, shape, said or shape.delimiter, width=None)), None)
        for number, first, record, _ in islice(_Records(lines, shape, said or shape.delimiter, width), most):
            count += 1
            if isinstance(record, MalformedError):
                separated.bad(number, first, str(record))
            else:
                separated.good((number, *record))
    return count
