"""One pipeline file as it is now: its DAGs, or all that is wrong with it; and its last good version.

For a way into Airflow that comes with one file after the other. `scan` looks at a whole tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.discovery.compile_one import compiled_of
from sluicegate.discovery.compiled import CompiledPipeline
from sluicegate.discovery.settings import environment
from sluicegate.discovery.shard import dag_of
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.attempt import attempt, build_diagnostics, of_part
from sluicegate.factory.code_path import find_code
from sluicegate.factory.docs import playbooks_folder
from sluicegate.factory.unplaced import placed
from sluicegate.pipeline import Diagnostic, PipelineErrors
from sluicegate.pipeline.diagnostics import in_order, independent
from sluicegate.pipeline.lookup import Stems, stems
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.tree import cycle_diagnostics, look_together
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["BuiltFile", "build_file", "older_dags", "pipelines_of"]


@dataclass(frozen=True)
class BuiltFile:
    """The DAGs of a good file, and the warnings about it."""

    dags: tuple[PipelineDAG, ...]
    warnings: tuple[Diagnostic, ...]


def build_file(file: Path, root: Path, store: BundleStore, index: Stems | None = None) -> BuiltFile:
    """Read, check and build what `file` makes; `store` keeps it, for when the file turns bad.

    :param index: what `stems(root)` gave a while ago: a file that is not good by it is looked at again without it
    :raises PipelineErrors: with all errors of the file, and with nothing else
    """
    find_code(root)
    before = tuple(pipelines_of(file, root, store))
    try:
        pipelines, diagnostics = _read(file, root, environment(), index)
    except PipelineErrors as errors:
        wrong = [diagnostic for diagnostic in errors.diagnostics if diagnostic.is_error]
        if not _only_upstreams_are_wrong(wrong, before, root):
            raise PipelineErrors(wrong, root) from None
        # What the file reads from keeps its last good version, and so does the file.
        pipelines, diagnostics = before, ()
    dags = []
    for compiled in pipelines:
        built, unplaced = attempt(compiled.pipeline, compiled.upstreams)
        diagnostics += placed(unplaced, file, root).diagnostics if unplaced else ()
        dags += [built.dag] if built is not None else []
    if wrong := [diagnostic for diagnostic in diagnostics if diagnostic.is_error]:
        raise PipelineErrors(wrong, root)
    _keep(pipelines, before, store)
    return BuiltFile(tuple(dags), in_order(diagnostics))


def pipelines_of(file: Path, root: Path, store: BundleStore) -> Iterator[CompiledPipeline]:
    """What `store` has of the pipelines of one file."""
    path = file.relative_to(root).as_posix()
    for name in store.names():
        if name == file.stem or name.startswith(f"{file.stem}_"):
            compiled = store.pipeline(name)
            if compiled is not None and compiled.file == path:
                yield compiled


def older_dags(file: Path, root: Path, store: BundleStore) -> Iterator[tuple[CompiledPipeline, PipelineDAG]]:
    """The last good versions of the pipelines of a file; their DAGs say that there is a newer one.

    :raises BuildError: for what a pipeline asks for and is not there any more
    """
    find_code(root)
    for compiled in pipelines_of(file, root, store):
        yield compiled, dag_of(replace(compiled.at(root), older=True), store, playbooks_folder(root))


def _read(
    file: Path, root: Path, seen: Environment, index: Stems | None
) -> tuple[tuple[CompiledPipeline, ...], tuple[Diagnostic, ...]]:
    known = stems(root) if index is None else index
    together = look_together(file, root, known, seen)
    cycles = cycle_diagnostics(file, root, known, seen)
    if not together.is_good or cycles:
        if index is not None:
            return _read(file, root, seen, None)
        so_far = (*together.diagnostics, *cycles)
        built = (each for pipeline in together.pipelines for each in build_diagnostics(pipeline, together.upstreams))
        raise PipelineErrors([*so_far, *independent(of_part(built), so_far)], root)
    now = datetime.now(UTC)
    return tuple(compiled_of(each, together.upstreams, now) for each in together.pipelines), together.diagnostics


def _only_upstreams_are_wrong(
    diagnostics: Sequence[Diagnostic], before: Sequence[CompiledPipeline], root: Path
) -> bool:
    """Whether a file that was good is the same file, and only those that it reads from have turned bad."""
    return (
        bool(before)
        and all(diagnostic.code == "upstream-broken" for diagnostic in diagnostics)
        and all(
            compiled.readings[compiled.file].still_holds(root / compiled.file, root, environment) for compiled in before
        )
    )


def _keep(pipelines: Sequence[CompiledPipeline], before: Sequence[CompiledPipeline], store: BundleStore) -> None:
    known = {compiled.name: compiled for compiled in before}
    for compiled in pipelines:
        old = known.pop(compiled.name, None)
        if old is None or old.pipeline.digest != compiled.pipeline.digest:
            store.put(compiled)
        elif (old.digest(), old.readings) != (compiled.digest(), compiled.readings):
            store.put(replace(compiled, good_since=old.good_since))
    for name in known:
        store.forget(name)
