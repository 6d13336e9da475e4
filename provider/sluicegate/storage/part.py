"""One file of a dataset and its version; and the version of several together. Values only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["MARKER", "Part", "downloaded", "input_of", "is_part", "version"]

MARKER = "_SUCCESS"
"""What Hadoop leaves in a folder that was written whole, also when nothing else is in it."""


_NAME = 50
"""Characters: of four bytes each they are fewer than the 255 bytes that a name can have."""
_LISTED = 20
"""Parts that are named one by one in the facts of an input; of more there is their version together."""


@dataclass(frozen=True)
class Part:
    """`version` names the content: S3's ETag without quotes, or the sha256 (hex) of a local file; of one that was only
    glimpsed `<size>@<time>`.

    `size` is in bytes; `last_modified` is aware.
    """

    uri: str
    size: int
    version: str
    last_modified: datetime


def is_part(relative: str, size: int) -> bool:
    """Whether a file at `relative` below a folder holds records of the folder's dataset.

    As Spark sees it: names that begin with `_` or `.` are markers and work in progress, empty files hold
    nothing, and of the sub-folders only partitions (`day=2013-02-11/`) belong to it.
    """
    *folders, name = relative.split("/")
    if size == 0 or not name or name.startswith(("_", ".")):
        return False
    return all("=" in folder and not folder.startswith(("_", ".")) for folder in folders)


def downloaded(part: Part, name: str) -> str:
    """What a file of this machine with the content of `part` is called: with the suffix of `name`, the last segment of
    its URI, which may be longer than a file's name can be.
    """
    return f"{hashlib.sha256(part.uri.encode()).hexdigest()[:12]}-{name[-_NAME:]}"


def version(parts: Sequence[Part]) -> str:
    """The version of a dataset: its only part's, or a digest over all parts' versions.

    Names have no say: Spark gives the same content new names with every run.
    """
    if len(parts) == 1:
        return parts[0].version
    digest = hashlib.sha256()
    for each in sorted(part.version for part in parts):
        digest.update(each.encode() + b"\n")
    return digest.hexdigest()


def input_of(name: str, uris: Sequence[str], parts: Sequence[Part], rows: int | None = None) -> Mapping[str, Any]:
    """An input as the facts of a step have it, in JSON values: what it is, where, in which version, how much of it.

    `by` is `time` where the version was not found out by what is in the files.

    :param name: the dataset's, or the template of its URI: the same in each run
    """
    found: dict[str, Any] = {"name": name, "uri": uris[0] if uris else "", "version": version(parts)}
    if len(uris) > 1:
        found["uris"] = list(uris[:_LISTED])
    found |= {"parts": len(parts), "bytes": sum(part.size for part in parts), "rows": rows}
    if any("@" in part.version for part in parts):
        found["by"] = "time"
    if parts:
        found["modified"] = max(part.last_modified for part in parts).isoformat()
    if 1 < len(parts) <= _LISTED:
        found["files"] = [{"uri": part.uri, "version": part.version, "bytes": part.size} for part in parts]
    return found
