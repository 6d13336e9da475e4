"""The `transform` step: reads datasets as Arrow, calls a pure function, writes its result whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sluicegate.faults.errors import FaultError, fault
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Format
from sluicegate.runtime.code import arguments_for, failure_of, find_function, is_meant, on_path, streams
from sluicegate.runtime.folder import work_folder
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.storage import FileType, Part, Storage, file_type, parse_uri

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.records.batches import Source

__all__ = ["TransformOperator"]

_OFFERED = ("window", "params")
_FOLDER_DEFAULT = FileType("parquet")

log = logging.getLogger(__name__)


class TransformOperator(StepOperator):
    """Calls a pure function over Arrow data.

    The function gets every read by its binding (`pa.Table`, or `pa.RecordBatchReader` where its annotation
    says so), the arguments of `with_`, and `window`, `params` and, in a mapped task, `item` if it names them. It
    returns a table, a reader, an iterator of batches, or a mapping of these by the bindings of several writes.

    :param function: `module:function`, found from `root`
    :param reads: dataset by binding; a file or, with a trailing slash, a folder of parts
    :param writes: dataset by binding; a folder gets one part, and loses all others after that
    :param with_: further keyword arguments, templated
    :param formats: how the dataset of a binding is read or written; the suffix decides what is not said
    :param connections: the Airflow connection that the dataset of a binding itself needs: for `https://` and `gs://`
    :param aws_conn_id: the connection for `s3://`
    :param root: the dags root; the folder of the DAG's file unless given
    """

    template_fields: Sequence[str] = ("reads", "writes", "with_")
    sources = ("reads",)

    def __init__(
        self,
        *,
        function: str,
        reads: Mapping[str, str | Location],
        writes: Mapping[str, str | Location],
        with_: Mapping[str, Any] | None = None,
        formats: Mapping[str, Format] | None = None,
        connections: Mapping[str, str] | None = None,
        aws_conn_id: str = "aws_default",
        root: str | None = None,
        pipeline: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pipeline=pipeline, **kwargs)
        self.function = function
        self.reads = dict(reads)
        self.writes = dict(writes)
        self.with_ = dict(with_ or {})
        # Here, while they still are locations: a template field is a plain URI once it is rendered.
        said = {
            name: place.format
            for name, place in (self.reads | self.writes).items()
            if isinstance(place, Location) and place.format is not None
        }
        self._connections = {
            name: place.connection
            for name, place in (self.reads | self.writes).items()
            if isinstance(place, Location) and place.connection is not None
        } | dict(connections or {})
        self.formats: dict[str, Format] = said | dict(formats or {})
        self.aws_conn_id = aws_conn_id
        self.root = root

    def run(self, context: Context, step: StepContext) -> StepResult:
        root = self.root or self.dag.folder
        with on_path(root), work_folder() as scratch:
            function = find_function(self.function, root)
            given = {"reads": self.reads, "with": self.with_}
            passed = arguments_for(self.function, function, given, (*_OFFERED, "item") if step.mapped else _OFFERED)
            targets = {name: self._target(name) for name in self.writes}
            sources, parts = self._open_reads(step, scratch)
            offered = {"window": step.window, "params": step.params, "item": step.item}
            extra = {name: offered[name] for name in passed if name in offered and name not in self.with_}
            try:
                written = self._call(function, sources, self.with_ | extra, targets, scratch)
            except Exception as error:
                self.facts = self._facts(sources, parts, {})
                broken = next((source.failure for source in sources.values() if source.failure), None)
                if broken is None and is_meant(error):
                    raise
                raise broken or failure_of(error, self.function, root) from error
            for storage, part in chain.from_iterable(parts.values()):
                storage.verify(part)
            self._put(step, targets, written)
            facts = self._facts(sources, parts, written)
        report = {
            "read": {name: source.rows for name, source in sources.items()},
            "written": {name: rows for name, (_, rows) in written.items()},
        }
        line = f"{'Dry run, nothing was written' if step.dry_run else 'Transformed'}: {report}"
        return StepResult(report, line, facts)

    def _facts(
        self,
        sources: Mapping[str, Source],
        parts: Mapping[str, Sequence[tuple[Storage, Part]]],
        written: Mapping[str, tuple[Path, int]],
    ) -> dict[str, Any]:
        from sluicegate.storage.part import input_of

        names = {place.binding: place.dataset for place in self._reads}
        inputs = [
            input_of(names.get(name, name), _uris(self.reads[name]), [part for _, part in own], sources[name].rows)
            for name, own in parts.items()
        ]
        outputs = [{"name": name, "uri": str(self.writes[name]), "rows": rows} for name, (_, rows) in written.items()]
        rows = {"read": sum(one["rows"] or 0 for one in inputs), "written": sum(rows for _, rows in written.values())}
        return {"inputs": inputs, "outputs": outputs, "counts": rows}

    def _open_reads(
        self, step: StepContext, scratch: Path
    ) -> tuple[dict[str, Source], dict[str, list[tuple[Storage, Part]]]]:
        from sluicegate.records.batches import open_source

        sources: dict[str, Source] = {}
        read: dict[str, list[tuple[Storage, Part]]] = {}
        for name, place in self.reads.items():
            storage = self._storage_of(name)
            uris = _uris(place)
            label = uris[0] + (f" and {len(uris) - 1} more" if len(uris) > 1 else "")
            try:
                parts = storage.require_parts(uris)
            except FaultError as missing:
                if step.dry_run and missing.code == "SOURCE_MISSING":
                    _skip(f"Dry run: skipped, for what it reads was not written: {missing.detail}")
                raise
            own = scratch / f"read-{name}"
            own.mkdir()
            said = self.formats.get(name)
            kind = file_type(parts[0].uri, said) if parts else _FOLDER_DEFAULT
            paths = [storage.fetch(part, own) for part in parts]
            sources[name] = open_source(label, paths, kind, said, own)
            read[name] = [(storage, part) for part in parts]
        return sources, read

    def _storage_of(self, name: str) -> Storage:
        """What reads or writes the dataset of a binding."""
        said = self.formats.get(name, Format())
        return Storage(self.aws_conn_id, connection=self._connections.get(name), success_marker=said.success_marker)

    def _call(
        self,
        function: Callable[..., Any],
        sources: Mapping[str, Source],
        arguments: Mapping[str, Any],
        targets: Mapping[str, tuple[str, FileType]],
        scratch: Path,
    ) -> dict[str, tuple[Path, int]]:
        """File and number of rows by binding: all of them are whole before the first is put in its place."""
        from sluicegate.records.write import write_file
        from sluicegate.transform.result import batches_of, by_binding

        reads = {
            name: source.reader() if streams(function, name) else source.table() for name, source in sources.items()
        }
        returned = by_binding(function(**reads, **arguments), tuple(targets), self.function)
        written = {}
        for name, result in returned.items():
            schema, batches = batches_of(result, f"{self.function}, {name}")
            path = scratch / f"write-{name}"
            rows = write_file(path, schema, batches, targets[name][1], self.formats.get(name))
            written[name] = (path, rows)
        return written

    def _put(
        self,
        step: StepContext,
        targets: Mapping[str, tuple[str, FileType]],
        written: Mapping[str, tuple[Path, int]],
    ) -> None:
        if step.dry_run:
            return
        for name, (uri, _) in targets.items():
            storage = self._storage_of(name)
            storage.put_atomic(written[name][0], uri)
            folder = str(self.writes[name])
            if folder != uri:
                storage.delete_parts([old for old in storage.part_uris(folder) if old != uri])

    def _target(self, name: str) -> tuple[str, FileType]:
        """The URI of the file that is written for a binding, and its type."""
        place = self.writes[name]
        if not isinstance(place, str):
            raise fault("WRONG_USE", f"{name}: a step writes one place, not {place}")
        said = self.formats.get(name)
        address = parse_uri(place)
        if not address.folder:
            return place, file_type(place, said)
        kind = _FOLDER_DEFAULT if said is None or said.type is None else FileType(said.type)
        return address.child("part-00000" + kind.suffix), kind


def _uris(place: str | Location | Sequence[str]) -> list[str]:
    """The places of one binding, once its template is rendered."""
    if isinstance(place, Location):
        raise fault("WRONG_USE", f"{place.dataset}: the step was called before its templates were rendered")
    return [place] if isinstance(place, str) else list(place)


def _skip(message: str) -> NoReturn:
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException(message)
