"""One pipeline file as it is now: its DAGs, or all that is wrong with it; and as it was when it was last good.

For a way into Airflow that comes with one file after the other. `survey` looks at a whole tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.discovery.compile_one import entry_of
from sluicegate.discovery.compiled import Entry
from sluicegate.discovery.shard import dag_of
from sluicegate.discovery.store import Home
from sluicegate.factory.dags import attempt, build_diagnostics, of_part
from sluicegate.factory.docs import playbooks_folder
from sluicegate.factory.problems import placed
from sluicegate.factory.site import environment, find_code
from sluicegate.pipeline import Diagnostic, PipelineErrors
from sluicegate.pipeline.diagnostics import in_order, independent
from sluicegate.pipeline.lookup import Stems, stems
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.tree import cycle_diagnostics, look_together
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["Built", "build_file", "entries_of", "older_dags"]


@dataclass(frozen=True)
class Built:
    """The DAGs of a good file, and the warnings about it."""

    dags: tuple[PipelineDAG, ...]
    warnings: tuple[Diagnostic, ...]


def build_file(file: Path, root: Path, home: Home, index: Stems | None = None) -> Built:
    """Read, check and build what `file` makes; `home` keeps it, for when the file turns bad.

    :param index: what `stems(root)` gave a while ago: a file that is not good by it is looked at again without it
    :raises PipelineErrors: with all errors of the file, and with nothing else
    """
    find_code(root)
    before = tuple(entries_of(file, root, home))
    try:
        entries, diagnostics = _read(file, root, environment(), index)
    except PipelineErrors as errors:
        wrong = [diagnostic for diagnostic in errors.diagnostics if diagnostic.is_error]
        if not _only_upstreams_are_wrong(wrong, before, root):
            raise PipelineErrors(wrong, root) from None
        # What the file reads from goes on as it was, and so does the file.
        entries, diagnostics = before, ()
    dags = []
    for entry in entries:
        built, problems = attempt(entry.pipeline, entry.upstreams)
        diagnostics += placed(problems, file, root).diagnostics if problems else ()
        dags += [built.dag] if built is not None else []
    if wrong := [diagnostic for diagnostic in diagnostics if diagnostic.is_error]:
        raise PipelineErrors(wrong, root)
    _keep(entries, before, home)
    return Built(tuple(dags), in_order(diagnostics))


def entries_of(file: Path, root: Path, home: Home) -> Iterator[Entry]:
    """What `home` has of the pipelines of one file."""
    path = file.relative_to(root).as_posix()
    for name in home.names():
        if name == file.stem or name.startswith(f"{file.stem}_"):
            entry = home.entry(name)
            if entry is not None and entry.file == path:
                yield entry


def older_dags(file: Path, root: Path, home: Home) -> Iterator[tuple[Entry, PipelineDAG]]:
    """The last good versions of the pipelines of a file; their DAGs say that there is a newer one.

    :raises BuildError: for what a pipeline asks for and is not there any more
    """
    find_code(root)
    for entry in entries_of(file, root, home):
        yield entry, dag_of(replace(entry.at(root), older=True), home, playbooks_folder(root))


def _read(
    file: Path, root: Path, seen: Environment, index: Stems | None
) -> tuple[tuple[Entry, ...], tuple[Diagnostic, ...]]:
    known = stems(root) if index is None else index
    together = look_together(file, root, known, seen)
    cycles = cycle_diagnostics(file, root, known, seen)
    if not together.is_good or cycles:
        if index is not None:
            return _read(file, root, seen, None)
        told = (*together.diagnostics, *cycles)
        built = (each for pipeline in together.pipelines for each in build_diagnostics(pipeline, together.upstreams))
        raise PipelineErrors([*told, *independent(of_part(built), told)], root)
    now = datetime.now(UTC)
    return tuple(entry_of(each, together.upstreams, now) for each in together.pipelines), together.diagnostics


def _only_upstreams_are_wrong(diagnostics: Sequence[Diagnostic], before: Sequence[Entry], root: Path) -> bool:
    """Whether a file that was good is the same file, and only those that it reads from have turned bad."""
    return (
        bool(before)
        and all(diagnostic.code == "upstream-broken" for diagnostic in diagnostics)
        and all(entry.readings[entry.file].still_holds(root / entry.file, root, environment) for entry in before)
    )


def _keep(entries: Sequence[Entry], before: Sequence[Entry], home: Home) -> None:
    known = {entry.name: entry for entry in before}
    for entry in entries:
        old = known.pop(entry.name, None)
        if old is None or old.pipeline.digest != entry.pipeline.digest:
            home.put(entry)
        elif (old.digest(), old.readings) != (entry.digest(), entry.readings):
            home.put(replace(entry, good_since=old.good_since))
    for name in known:
        home.forget(name)
