"""Text files as DuckDB reads them by itself: in UTF-8, and without a first line `sep=;`."""

from __future__ import annotations

import codecs
import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sluicegate.faults.errors import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.csvlines import said_delimiter
from sluicegate.storage.filetype import FileType

__all__ = ["as_utf8", "opened", "without_said_delimiter"]

_UTF8 = {"utf-8", "ascii"}


def as_utf8(path: Path, file_type: FileType, encoding: str, copy: Path) -> Path:
    """`path`, or `copy` in UTF-8: DuckDB would have to download other encodings.

    :raises FaultError: WRONG_USE for an unknown encoding.
    """
    try:
        known = codecs.lookup(encoding).name
    except LookupError as unknown:
        raise fault("WRONG_USE", f"format: {{encoding: {encoding}}}: there is no such encoding") from unknown
    if known in _UTF8:
        return path
    with opened(path, file_type.gzip, known) as source, copy.open("w", encoding="utf-8", newline="") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    return copy


def without_said_delimiter(
    uri: str, paths: Sequence[Path], stated: str, packed: bool, scratch: Path
) -> tuple[list[Path], str]:
    """The same parts without a first line `sep=;`, and the delimiter of all of them.

    :raises FaultError: SOURCE_UNREADABLE when two parts, or a part and `format`, say different ones.
    """
    found: set[str | None] = set()
    kept = []
    for number, path in enumerate(paths):
        with opened(path, packed, "utf-8", "surrogateescape") as text:
            said = said_delimiter(text.readline(64))
            if said is not None:
                path = scratch / f"{number}-records"
                with _created(path, packed) as records:
                    shutil.copyfileobj(text, records, 1 << 20)
        found.add(said)
        kept.append(path)
    said, *others = found
    if others or (said is not None and stated not in {said, Format().delimiter}):
        lines = " and ".join(sorted(f"`sep={each}`" for each in found if each is not None))
        raise fault("SOURCE_UNREADABLE", f"{uri}: a part says {lines}, and {stated!r} delimits the rest", uri=uri)
    return kept, said or stated


def _created(path: Path, packed: bool) -> IO[str]:
    if packed:
        return gzip.open(path, "wt", encoding="utf-8", errors="surrogateescape", newline="")
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def opened(path: Path, packed: bool, encoding: str, errors: str = "strict") -> IO[str]:
    """The text of `path`, which is gzip if it is `packed`."""
    if packed:
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
    return path.open(encoding=encoding, errors=errors, newline="")
