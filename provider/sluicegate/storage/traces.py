"""What Spark leaves in a folder: markers of a write that is done, and of one that is not. Values only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sluicegate.storage.part import MARKER

__all__ = ["FETCHING", "UNDER_WAY", "Traces", "base_of", "is_spark_part", "is_trace"]

UNDER_WAY = "_temporary"
"""The folder in which Spark and Hadoop write what they move into place at the end."""
FETCHING = "_fetching"
"""The same of a fetch of ours."""
_STAGING = ".spark-staging-"
_SPARK = re.compile(r"part-[mr]?-?\d{5,}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
"""Where the formats of tables keep which of a folder's files count: others are of older versions of the table."""


def is_spark_part(uri: str) -> bool:
    """Whether Spark named the file: `part-00000-<uuid>-c000.snappy.parquet`."""
    return _SPARK.match(uri.rpartition("/")[2]) is not None


def is_trace(name: str) -> bool:
    """Whether what is called so in a folder says something of its writer."""
    return name in {MARKER, UNDER_WAY, FETCHING, *_LOGS} or name.startswith(_STAGING)


def base_of(uri: str) -> str:
    """The folder that a writer of `uri` wrote to, with its slash: that around the partition folders."""
    folder = uri.rpartition("/")[0]
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    return folder + "/"


@dataclass
class Traces:
    """What was seen in a folder so far. `marker` and `under_way` are when that was written last; `work` is the folder
    of what is under way, `log` that in which a format of tables says which files count.
    """

    marker: datetime | None = None
    under_way: datetime | None = None
    work: str = ""
    has_spark_parts: bool = False
    log: str | None = None

    def see(self, relative: str, modified: datetime) -> None:
        """Take note of the file at `relative` below the folder."""
        first, slash, _ = relative.partition("/")
        if relative == MARKER:
            self.marker = modified
        elif slash and is_trace(first):
            if first in _LOGS:
                self.log = first
            # A fetch leaves its folder of this machine behind, empty.
            elif relative != f"{FETCHING}/":
                self.under_way, self.work = max(modified, self.under_way or modified), first
        elif is_spark_part(relative):
            self.has_spark_parts = True

    @property
    def table(self) -> str | None:
        """What the folder is where another format says which of its files count: `a Delta table`."""
        return None if self.log is None else f"a {_LOGS[self.log]} table"

    def why_unfinished(self, has_marker_above: Callable[[], bool]) -> str | None:
        """Why the folder must not be read; None where it was written whole, or by something that leaves no marker.

        :param has_marker_above: whether the folder around the partition that this one is has the marker
        """
        if self.log is not None:
            return f"is {self.table}: which of its files count is in {self.log}/, which is not read here"
        if self.under_way is not None and (self.marker is None or self.marker < self.under_way):
            return f"is being written, or its writer died: there is work in progress in it ({self.work}/)"
        if not self.has_spark_parts or self.marker is not None or has_marker_above():
            return None
        return f"has parts that Spark wrote, and no {MARKER}: the job that writes it has not finished"
