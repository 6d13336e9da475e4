"""A text file made fit for DuckDB: unpacked, looked through once, and where it is odd, put right line by line.

DuckDB reads a regular file (one record a line) faster than anything else, but knows no line numbers and stops
at the first malformed line. Whether a file is regular shows when it is read: as many records as lines. All
other files go through `normalise`, which numbers each record by its first line and sets malformed ones aside.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sluicegate.faults import fault

__all__ = ["MAX_RECORD", "CsvShape", "Look", "first_record", "look_through", "normalise_csv", "normalise_json"]

MAX_RECORD = 2_000_000
"""Characters. DuckDB's buffers are made for lines up to 2 MiB; a longer record is set aside."""
_KEPT = 65_536
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Look:
    """What one pass over a file's bytes tells. `path` is the unpacked file."""

    path: Path
    lines: int
    blank: bool
    carriage: bool
    """Whether there is a carriage return that does not belong to a line's end."""
    crlf: bool
    nul: bool

    @property
    def newline(self) -> str:
        return "\\r\\n" if self.crlf else "\\n"


@dataclass(frozen=True)
class CsvShape:
    """How a CSV file is written."""

    delimiter: str
    encoding: str
    header: bool


def look_through(path: Path, unpacked: Path, *, uri: str) -> Look:
    """See what kind of lines `path` has; if it is gzip, unpack it to `unpacked` on the way.

    :raises FaultError: SOURCE_UNREADABLE when it is a broken archive, or a kind that is not read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"PK\x03\x04"):
        raise fault("SOURCE_UNREADABLE", f"{uri} is a zip archive; gzip is read, zip is not", uri=uri)
    if not magic.startswith(b"\x1f\x8b"):
        with path.open("rb") as file:
            return _look(file, path, None)
    try:
        with gzip.open(path) as file, unpacked.open("wb") as copy:
            return _look(cast("IO[bytes]", file), unpacked, copy)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise fault("SOURCE_UNREADABLE", f"{uri} is a damaged gzip file: {error}", uri=uri) from error


def _look(file: IO[bytes], path: Path, copy: IO[bytes] | None) -> Look:
    feeds = crlfs = returns = 0
    blank = nul = False
    last = b"\n"
    while block := file.read(_BLOCK):
        if copy is not None:
            copy.write(block)
        feeds += block.count(b"\n")
        returns += block.count(b"\r")
        if returns:
            crlfs += (last[-1:] + block).count(b"\r\n")
        seam = last[-3:] + block
        blank = blank or b"\n\n" in seam or b"\n\r\n" in seam
        nul = nul or b"\0" in block or rb"\u0000" in seam
        last = seam[-6:]
    lines = feeds + (last[-1:] != b"\n")
    crlf = crlfs > 0 and crlfs == feeds
    return Look(path, lines, blank, returns != (crlfs if crlf else 0), crlf, nul)


class _Lines:
    """The lines of a text file with their numbers, without their ends; lines can be given back."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._number = 0
        self._back: deque[tuple[int, str, bool]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str, bool]]:
        while (line := self.next()) is not None:
            yield line

    def next(self) -> tuple[int, str, bool] | None:
        """Number, text, and whether the line is whole (shorter than `MAX_RECORD`); None at the end."""
        if self._back:
            return self._back.popleft()
        line = self._text.readline(MAX_RECORD)
        if not line:
            return None
        self._number += 1
        whole = line.endswith("\n") or len(line) < MAX_RECORD
        rest = line
        while not whole and rest and not rest.endswith("\n"):
            rest = self._text.readline(MAX_RECORD)
        line = line.removesuffix("\n")
        return self._number, line.removesuffix("\r"), whole

    def give_back(self, lines: list[tuple[int, str, bool]]) -> None:
        self._back.extendleft(reversed(lines))


class _Fields:
    """Splits one record into its fields, as DuckDB does in its strict mode."""

    def __init__(self, delimiter: str) -> None:
        d = re.escape(delimiter)
        self._quoted = re.compile(rf' *"((?:[^"]|"")*+)" *(?={d}|\Z)')
        self._open = re.compile(r' *"(?:[^"]|"")*+\Z')
        self._plain = re.compile(rf'(?! *")([^{d}]*+)' if len(delimiter) == 1 else rf'(?! *")((?:(?!{d})[\s\S])*+)')
        self._delimiter = delimiter

    def split(self, record: str) -> list[str] | None:
        """The fields, or None if the record goes on after its end.

        :raises ValueError: when a quoted field has something behind its closing quote.
        """
        if '"' not in record:
            return record.split(self._delimiter)
        fields: list[str] = []
        at = 0
        while True:
            if match := self._quoted.match(record, at):
                fields.append(match[1].replace('""', '"'))
            elif match := self._plain.match(record, at):
                fields.append(match[1])
            elif self._open.match(record, at):
                return None
            else:
                raise ValueError("text after a closing quote")
            at = match.end()
            if at >= len(record):
                return fields
            at += len(self._delimiter)


def _open_text(path: Path, encoding: str) -> IO[str]:
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    raw = path.open("rb")
    # Old Macintosh files end their lines with a carriage return alone.
    macintosh = b"\n" not in (head := raw.read(_BLOCK)) and b"\r" in head
    raw.seek(0)
    return io.TextIOWrapper(raw, name, errors="surrogateescape", newline=None if macintosh else "\n")


def _is_clean(line: str) -> bool:
    if line.isascii():
        return True
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_record(path: Path, shape: CsvShape) -> list[str] | None:
    """The fields of a CSV file's first record that is not blank; None for an empty file.

    :raises ValueError: when it is not well formed.
    """
    fields = _Fields(shape.delimiter)
    with _open_text(path, shape.encoding) as text:
        for _, record, why in _records(_Lines(text), fields, width=None):
            if isinstance(record, str):
                raise ValueError(why)
            return record
    return None


def _records(lines: _Lines, fields: _Fields, width: int | None) -> Iterator[tuple[int, list[str] | str, str]]:
    """Each record's first line number with its fields, or with its raw text and why it is malformed."""
    for first in lines:
        number, text, whole = first
        if not text and whole:
            continue
        if not whole:
            yield number, text, f"longer than {MAX_RECORD} characters"
            continue
        if not _is_clean(text):
            yield number, text, "not in the encoding"
            continue
        taken: list[tuple[int, str, bool]] = []
        size = len(text)
        why = "a quote is not closed"
        found: list[str] | None = None
        try:
            found = fields.split(text)
            while found is None and (more := lines.next()) is not None:
                taken.append(more)
                size += len(more[1]) + 1
                if size > MAX_RECORD or not more[2] or not _is_clean(more[1]):
                    break
                if '"' in more[1]:
                    found = fields.split("\n".join([text, *(line for _, line, _ in taken)]))
        except ValueError as error:
            why = str(error)
        if found is not None and width is not None and len(found) != width:
            why, found = f"{len(found)} columns instead of {width}", None
        if found is None:
            # One bad line must not take its neighbours with it: the search goes on right below it.
            lines.give_back(taken)
            yield number, text, why
        else:
            yield number, found, ""


def normalise_csv(look: Look, shape: CsvShape, width: int, clean: Path, malformed: Path) -> int:
    """Write `look`'s records to `clean` as line number and fields, malformed ones to `malformed` with why.

    Both are CSV in UTF-8 with `,`. Returns the number of both.
    """
    fields = _Fields(shape.delimiter)
    count = 0
    with ExitStack() as stack:
        text = stack.enter_context(_open_text(look.path, shape.encoding))
        good = csv.writer(stack.enter_context(_create(clean)), quoting=csv.QUOTE_ALL, lineterminator="\n")
        bad = csv.writer(stack.enter_context(_create(malformed)), quoting=csv.QUOTE_ALL, lineterminator="\n")
        records = _records(_Lines(text), fields, width)
        if shape.header:
            next(records, None)
        for number, record, why in records:
            count += 1
            if isinstance(record, str):
                bad.writerow((number, _readable(record), why))
            else:
                good.writerow((number, *record))
    return count


def normalise_json(look: Look, encoding: str, clean: Path, malformed: Path) -> int:
    """As `normalise_csv`, for JSON lines: one line, one record; whether it is JSON is seen later."""
    count = 0
    with ExitStack() as stack:
        text = stack.enter_context(_open_text(look.path, encoding))
        good = csv.writer(stack.enter_context(_create(clean)), quoting=csv.QUOTE_ALL, lineterminator="\n")
        bad = csv.writer(stack.enter_context(_create(malformed)), quoting=csv.QUOTE_ALL, lineterminator="\n")
        for number, line, whole in _Lines(text):
            if whole and not line.strip():
                continue
            count += 1
            if not whole:
                bad.writerow((number, _readable(line), f"longer than {MAX_RECORD} characters"))
            elif not _is_clean(line):
                bad.writerow((number, _readable(line), "not in the encoding"))
            else:
                good.writerow((number, line))
    return count


def _create(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="")


def _readable(text: str) -> str:
    """`text` as Postgres can store it: undecodable bytes and U+0000 as `\\xff`, cut at 64 Ki characters."""
    raw = text[:_KEPT].encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
