"""A text file line by line, for what DuckDB does not read as it should: what is malformed is set aside with why.

DuckDB reads a regular file (one record a line) faster than anything else, but knows no line numbers and stops
at the first malformed line. Whether a file is regular shows when it is read: as many records as lines. All
other files are put right first, which numbers each record by its first line and sets malformed ones aside.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Writer

__all__ = [
    "CLEAN",
    "KEPT",
    "MAX_RECORD",
    "Line",
    "Lines",
    "Separated",
    "byte_size",
    "normalise_json",
    "open_text",
    "why_unfit",
]

MAX_RECORD = 2 << 20
"""Bytes in UTF-8. A longer record is set aside, so that memory stays bounded."""
CLEAN = "parallel=false, max_line_size=5000000, buffer_size=32000000, new_line='\\n'"
"""DuckDB's options for a file put right, in which each quote of a record may be doubled."""
KEPT = 65_536
"""Characters of a malformed line that are kept."""
_BLOCK = 1 << 20
_UNDECODABLE = "sluicegate.undecodable"
_SURROGATE = re.compile("[\ud800-\udfff]")


Line = tuple[int, str, str, int]
"""Number, text without its end (of a line that is too long, the beginning), that end, how many characters."""


class Lines:
    """The lines of a text file with their numbers; lines can be given back."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._number = 0
        self._back: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        while (line := self.next()) is not None:
            yield line

    def next(self) -> Line | None:
        """None at the end."""
        if self._back:
            return self._back.popleft()
        line = self._text.readline(MAX_RECORD + 2)
        if not line:
            return None
        self._number += 1
        text = line.removesuffix("\n").removesuffix("\r")
        size = len(text)
        end = line[size:]
        if size > MAX_RECORD and not end:
            while rest := self._text.readline(_BLOCK):
                size += len(rest.rstrip("\r\n"))
                if rest.endswith("\n"):
                    break
        return self._number, text, end, size

    def give_back(self, lines: Sequence[Line]) -> None:
        self._back.extendleft(reversed(lines))


def open_text(path: Path, encoding: str) -> IO[str]:
    """The file's text, with its own ends of lines. What is not in `encoding` becomes a lone surrogate a byte."""
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    raw = path.open("rb")
    # Old Macintosh files end their lines with a carriage return alone.
    macintosh = b"\n" not in (head := raw.read(_BLOCK)) and b"\r" in head
    raw.seek(0)
    return io.TextIOWrapper(raw, name, errors=_UNDECODABLE, newline="" if macintosh else "\n")


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    # As `surrogateescape` does, also for the bytes below 0x80 that are half of something in UTF-16.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_UNDECODABLE, _undecodable)


def why_unfit(text: str, size: int, encoding: str) -> str | None:
    """Why a line of `size` characters is not read: it is too long, or not in the encoding; None if it is fit."""
    if size > MAX_RECORD:
        return _too_long(size, "characters")
    if text.isascii():
        return None
    if found := _SURROGATE.search(text):
        byte, place = ord(found[0]) & 0xFF, found.start() + 1
        return f"byte 0x{byte:02X} at character {place:,} is not {encoding}"
    size = byte_size(text)
    return _too_long(size, "bytes") if size > MAX_RECORD else None


def byte_size(text: str) -> int:
    """In UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _too_long(size: int, unit: str) -> str:
    return f"{size:,} {unit} long, and records of up to {MAX_RECORD:,} bytes are read"


class Separated:
    """Two files to write: `good` takes a line number with values, `bad` a line that is not a record.

    Both are CSV in UTF-8 with `,`.
    """

    def __init__(self, clean: Path, malformed: Path) -> None:
        self._files = ExitStack()
        self.good = self._writer(clean).writerow
        self._bad = self._writer(malformed)

    def _writer(self, path: Path) -> Writer:
        file = self._files.enter_context(path.open("w", encoding="utf-8", newline=""))
        return csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def __enter__(self) -> Separated:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._files.close()

    def bad(self, number: int, text: str, why: str) -> None:
        self._bad.writerow((number, _readable(text), why))


def normalise_json(path: Path, encoding: str, clean: Path, malformed: Path, most: int | None = None) -> int:
    """Write the lines that are not blank, the first `most` of them, with their numbers. How many; whether they are JSON
    is seen later.
    """
    count = 0
    with open_text(path, encoding) as text, Separated(clean, malformed) as separated:
        for number, line, _, size in Lines(text):
            if not line.strip(" \t"):
                continue
            if count == most:
                break
            count += 1
            if why := why_unfit(line, size, encoding):
                separated.bad(number, line, why)
            else:
                separated.good((number, line))
    return count


def _readable(text: str) -> str:
    """`text` as Postgres can store it: undecodable bytes and U+0000 as `\\xff`, cut at 64 Ki characters."""
    escaped = _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text[:KEPT])
    return escaped.replace("\0", "\\x00")
