"""A load of records that a cluster has checked: verdicts and dead letters come of the job's report and of what it left.

Parts, their versions and the ledger are those of the folder that was checked, as if the load had read it itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.checks.spark_job import FOLDERS, LINE, PART
from sluicegate.faults import FaultError, fault
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.checked.readers import checked_parts, number_of
from sluicegate.load.checked.report import REPORT, Report, outdated, read_report
from sluicegate.load.checked.stage import CheckedStage, Passed
from sluicegate.load.checked.stored import FOLDER_OF, PASSED, StoredPart, stored_columns, why_not_stored
from sluicegate.load.load import Loader, Source
from sluicegate.load.request import LoadRequest
from sluicegate.load.stage import Stage
from sluicegate.pipeline.keys.load import CheckOn, CopyFrom
from sluicegate.records.on_cluster import checked_folder, cluster_plan, digest_of
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart, Reader
from sluicegate.storage.part import Part
from sluicegate.targets.target import Stored, StoredForm, Table, Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CheckedLoader", "loader_of"]

log = logging.getLogger("sluicegate.load")


def loader_of(request: LoadRequest, source: Source, target: Target) -> Loader:
    """What carries out `request`, by where its records are checked."""
    if request.check_on is CheckOn.CLUSTER:
        return CheckedLoader(request, source, target)
    return Loader(request, source, target)


class CheckedLoader(Loader):
    """:raises FaultError: besides those of a load, CHECKS_OUTDATED when the report is not about what the load asks for,
    or not about what is in the folder.
    """

    def __init__(self, request: LoadRequest, source: Source, target: Target) -> None:
        if len(request.sources) != 1 or not request.sources[0].endswith("/"):
            raise fault("WRONG_USE", f"check_on: cluster is for one folder, and this is {request.source}")
        if request.origin.step is None:
            raise fault("WRONG_USE", "check_on: cluster is for a step, by whose name the cluster keeps what it checks")
        super().__init__(request, source, target)
        self._folder = request.sources[0]
        self._checked = checked_folder(self._folder, request.origin.step)
        self._report: Report | None = None
        self._passed: Passed | None = None
        self._parts: Sequence[Part] = ()
        self._at = Path()

    def _open(
        self, duck: DuckDBPyConnection, folder: Path, parts: Sequence[Part], table: Table, bad: BadFiles
    ) -> Sequence[Reader]:
        """Of each part what was rejected, and what passed unless the load fails anyway."""
        self._report = report = self._read_report(folder)
        report.require(digest_of(cluster_plan(self._request, self._request.root)), self._folder, parts)
        self._parts, self._at = parts, folder
        rejected = self._fetched(report, "rejected", folder)
        local = [LocalPart(number, part.uri, part.version, folder) for number, part in enumerate(parts)]
        self._passed = self._left_there(duck, report, table, local)
        if self._passed is not None:
            found = checked_parts(duck, local, rejected, (), self._target.dialect)
            return [*found, StoredPart(local[0], report)]
        if not self._is_hopeless(report):
            passed = [path for name in FOLDERS[:2] for path in self._fetched(report, name, folder)]
        elif report.rows["rejected"]:
            passed = []
        else:
            passed = self._fetched(report, "passed", folder, most=1)  # It says which columns there are.
        return checked_parts(duck, local, rejected, passed, self._target.dialect)

    def _left_there(
        self, duck: DuckDBPyConnection, report: Report, table: Table, parts: Sequence[LocalPart]
    ) -> Passed | None:
        """What passed, if the target takes it from where it is."""
        form = self._target.takes_stored
        if form is None or not parts or self._is_hopeless(report):
            return None
        if form is StoredForm.TEXT and self._request.copy_from is not CopyFrom.S3:
            return None
        if (why := why_not_stored(self._request, report, table, form)) is not None:
            log.info("%s%s/ is read here and not copied into %s: %s", self._checked, PASSED, table.name, why)
            return None
        uri = f"{self._checked}{FOLDER_OF[form]}/"
        files = tuple(part.uri for part in self._written(report, FOLDER_OF[form]))
        region = self._source.region(uri) if form is StoredForm.TEXT else ""
        types = {name: type_ for name, type_ in stored_columns(report).items() if type_ is not None}

        def read(name: str) -> Sequence[Reader]:
            log.info("%s%s/ is read here too", self._checked, name)
            return checked_parts(duck, parts, (), self._fetched(report, name, self._at), self._target.dialect)

        numbered = [replace(part, number=number_of(part.number)) for part in parts]
        own = {name: type_ for name, type_ in types.items() if form is StoredForm.PARQUET or name not in {PART, LINE}}
        return Passed(Stored(uri, own, files, region), numbered, read)

    def _read_report(self, folder: Path) -> Report:
        uri = self._checked + REPORT
        try:
            [part] = self._source.require_parts(uri)
        except FaultError as missing:
            if missing.code != "SOURCE_MISSING":
                raise
            raise outdated(f"{self._folder} was not checked for this load: there is no {uri}") from missing
        return read_report(self._source.fetch(part, folder).read_text(encoding="utf-8"), uri, part.last_modified)

    def _fetched(self, report: Report, name: str, folder: Path, *, most: int | None = None) -> list[Path]:
        """The files of one of the job's folders, brought here."""
        return [self._source.fetch(part, folder) for part in self._written(report, name)[:most]]

    def _written(self, report: Report, name: str) -> Sequence[Part]:
        """The files of one of the job's folders, which are those that it wrote."""
        if not report.written.get(name):
            return ()
        uri = f"{self._checked}{name}/"
        try:
            parts = self._source.require_parts(uri)
        except FaultError as missing:
            if missing.code not in {"SOURCE_MISSING", "SOURCE_UNFINISHED"}:
                raise
            raise outdated(f"what the cluster has checked is gone: {missing.detail}") from missing
        report.require_written(uri, name, parts)
        return parts

    def _is_hopeless(self, report: Report) -> bool:
        """Whether the report alone says that nothing goes in."""
        if self._request.dead_letters.exceeded_by(report.rows["rejected"], report.read):
            return True
        strict = {rule.name for rule in self._rules if rule.severity == "critical"}
        return any(not seen.holds for name, seen in report.table.items() if name in strict)

    def _new_stage(self, *given: Any, **words: Any) -> Stage:
        assert self._report is not None
        hopeless = self._is_hopeless(self._report)
        return CheckedStage(
            *given, report=self._report, hopeless=hopeless, original=self._original, passed=self._passed, **words
        )

    def _original(self, part: LocalPart) -> Reader:
        """The part as the job read it, at the place of what the job left of it."""
        assert self._duck is not None
        [found] = [one for one in self._parts if one.uri == part.uri]
        fetched = replace(part, path=self._source.fetch(found, self._at))
        return open_part(self._duck, fetched, self._request.format, self._at, (), self._target.dialect)
