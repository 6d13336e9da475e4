"""The report of the job that checked a folder, and whether it is about what a load is to bring in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sluicegate.checks.spark_job import FOLDERS
from sluicegate.faults import FaultError, fault
from sluicegate.storage.part import Part

__all__ = ["REPORT", "Files", "Report", "Seen", "outdated", "read_report"]

REPORT = "report.json"
Files = Mapping[str, int]
"""The paths of files in a folder, with their sizes."""


@dataclass(frozen=True)
class Seen:
    """What the job saw of one rule: of a record `judged` and `bad`, of the table `observed`."""

    holds: bool
    judged: int = 0
    bad: int = 0
    observed: str = ""


@dataclass(frozen=True)
class Report:
    """`files` were read; `left_out` records are out of the scope, and not among those `read`; `written` are the files
    in each of the job's folders, and `rows` how many records are in it. `rules` and `table` are by name, `columns`
    Spark's types of what is in `passed`, and `texts` the most bytes of a value there, and whether one has a NUL; `far`
    are columns with a moment there that a load sets aside, `ends` the first and the last value of the window's column
    there, and how many records have none. `blanks` are columns of the key with a text that ends in a blank, in any
    record. `at` is when it was written.
    """

    plan: str
    files: Files
    written: Mapping[str, Files]
    read: int
    left_out: int
    rows: Mapping[str, int]
    rules: Mapping[str, Seen]
    table: Mapping[str, Seen]
    columns: Mapping[str, str]
    texts: Mapping[str, tuple[int, bool]]
    far: frozenset[str]
    ends: tuple[str | None, str | None, int] | None
    blanks: frozenset[str]
    at: datetime

    def require(self, plan: str, folder: str, parts: Iterable[Part]) -> None:
        """Check that it is about this contract and about just these files.

        :param plan: the digest of what the load asks for
        :raises FaultError: CHECKS_OUTDATED.
        """
        if self.plan != plan:
            raise outdated(f"{folder} was checked for another contract than the one that the load has now")
        self._require_same(folder, self.files, parts, "was checked")

    def require_written(self, folder: str, name: str, parts: Iterable[Part]) -> None:
        """Check that the files of `passed`, `replaced` or `rejected` are those that the job wrote.

        :raises FaultError: CHECKS_OUTDATED.
        """
        self._require_same(folder, self.written.get(name, {}), parts, "was written")

    def _require_same(self, folder: str, known: Files, parts: Iterable[Part], what: str) -> None:
        """A file of the same name and size is another one if it is younger than the report."""
        there = {
            # S3 says some of its times in whole seconds.
            part.uri.removeprefix(folder): part.size if part.last_modified.replace(microsecond=0) <= self.at else -1
            for part in parts
        }
        if there == known:
            return
        differing = sorted(name for name in {*there, *known} if there.get(name) != known.get(name))
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise outdated(f"{folder} is not as it {what} on the cluster: {differing[0]} is new, gone or another one{more}")


def read_report(text: str, uri: str, at: datetime) -> Report:
    """The report that `text` is, which was written `at`.

    :raises FaultError: CHECKS_OUTDATED when it is none, or that of another version of the job.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        return Report(
            plan=said["plan"],
            files=dict(said["files"]),
            written={name: dict(files) for name, files in said["written"].items()},
            read=said["read"],
            left_out=said["left_out"],
            rows={name: said[name] for name in FOLDERS},
            rules={one["rule"]: Seen(one["holds"], one["judged"], one["bad"]) for one in said["rules"]},
            table={one["rule"]: Seen(one["holds"], observed=str(one["observed"])) for one in said["table"]},
            columns=dict(said["columns"]),
            texts={name: (most, has_nul) for name, (most, has_nul) in said["texts"].items()},
            far=frozenset(said["far"]),
            ends=None if said["ends"] is None else tuple(said["ends"]),
            blanks=frozenset(said["blanks"]),
            at=at,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise outdated(f"{uri} is not a report of this version: {type(error).__name__}: {error}") from error


def outdated(detail: str) -> FaultError:
    return fault("CHECKS_OUTDATED", detail)
