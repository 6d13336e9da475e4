"""One pass over a text file's bytes: unpacks it, and says whether DuckDB reads it as this package does."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sluicegate.faults import fault

__all__ = ["Look", "has_blank_lines", "look_through"]

_BLOCK = 1 << 20
_FEED = ord("\n")
_GAP = re.compile(rb'" +"')


@dataclass(frozen=True)
class Look:
    """What one pass over a file's bytes finds. `path` is the unpacked file."""

    path: Path
    lines: int
    carriage: bool
    """Whether there is a carriage return that does not belong to a line's end."""
    crlf: bool
    nul: bool
    """Whether a value may hold U+0000, as a byte or, in JSON, as an escape."""
    quotes: bool
    gap: bool
    """Whether a quote, spaces and a quote follow each other: DuckDB takes `"a" "b"` for the text `a b`."""
    ascii: bool

    @property
    def new_line(self) -> str:
        """DuckDB's option. In strict mode it loses lines that end in CR LF when it is set to expect that."""
        return "" if self.crlf else ", new_line='\\n'"


def look_through(path: Path, unpacked: Path, *, uri: str, json: bool = False) -> Look:
    """See what kind of lines `path` has; if it is gzip, unpack it to `unpacked` on the way.

    :raises FaultError: SOURCE_UNREADABLE when it is a damaged archive.
    """
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return _look(file, path, None, json)
    try:
        with gzip.open(path) as packed, unpacked.open("wb") as copy:
            return _look(cast("IO[bytes]", packed), unpacked, copy, json)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise fault("SOURCE_UNREADABLE", f"{uri} is a damaged gzip file: {error}", uri=uri) from error


def _look(file: IO[bytes], path: Path, copy: IO[bytes] | None, json: bool) -> Look:
    import numpy as np

    feeds = crlfs = returns = 0
    nul = quotes = gap = False
    ascii_ = True
    last, tail, held = b"\n", b"", b""
    while block := file.read(_BLOCK):
        if copy is not None:
            copy.write(block)
        # `bytes.count` takes ten times as long where there are many.
        feeds += int(np.count_nonzero(np.frombuffer(block, np.uint8) == _FEED))
        returns += block.count(b"\r")
        if returns:
            crlfs += (last + block).count(b"\r\n")
        nul = nul or b"\0" in block or (json and rb"\u0000" in tail + block)
        ascii_ = ascii_ and block.isascii()
        quotes = quotes or b'"' in block
        if quotes and not (gap or json):
            gap = _has_gap(held + block)
            held = _open_gap(held + block)
        last, tail = block[-1:], block[-5:]
    lines = feeds + (last != b"\n")
    crlf = crlfs > 0 and crlfs == feeds
    return Look(path, lines, returns != (crlfs if crlf else 0), crlf, nul, quotes, gap, ascii_)


def _has_gap(block: bytes) -> bool:
    # Two plain searches cost far less than the expression, which starts at every quote.
    return b'" "' in block or (b'"  ' in block and _GAP.search(block) is not None)


def _open_gap(block: bytes) -> bytes:
    """What of `block`'s end may begin a gap."""
    if not block.endswith((b'"', b" ")):
        return b""
    rest = block.rstrip(b" ")
    return b"" if not rest.endswith(b'"') else b'"' if len(rest) == len(block) else b'" '


def has_blank_lines(path: Path) -> bool:
    """Whether a line of `path` is empty."""
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            seam = last + block
            if b"\n\n" in seam or b"\n\r\n" in seam:
                return True
            last = seam[-2:]
    return False
