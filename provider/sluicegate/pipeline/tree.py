"""All pipelines below a folder: which files they are, one of them with what it needs, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate.graph.datasets import upstream_names
from sluicegate.pipeline.check.upstreams import check_cycles, check_reads, check_shared_places
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where, bug, in_order
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.lookup import Index, Reader, Stems, says_so, stems, stems_of
from sluicegate.pipeline.read.draft import Draft, Variant
from sluicegate.pipeline.read.matrix import merged
from sluicegate.pipeline.strays import defaults_diagnostics, near_miss
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.walk import yaml_files

__all__ = ["Together", "Tree", "cycle_diagnostics", "look_together", "read_together", "read_tree"]


@dataclass(frozen=True)
class Together:
    """The pipelines of a file with those that they read from, as far as they could be read, and all its diagnostics."""

    pipelines: tuple[Pipeline, ...]
    upstreams: Mapping[str, Pipeline]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_good(self) -> bool:
        return bool(self.pipelines) and not any(diagnostic.is_error for diagnostic in self.diagnostics)

    @property
    def pipeline(self) -> Pipeline:
        """The only one.

        :raises ValueError: when the file makes several.
        """
        (only,) = self.pipelines
        return only


@dataclass(frozen=True)
class Tree:
    """All pipelines below a root: the good ones by name, and what is wrong with the others.

    `readable` are the good ones and, as far as they could be read, those with errors: enough to read from.
    `upstreams` are what other pipelines were checked against: of files with errors their last good version, if any.
    `files` are the pipeline files, `by_file` the diagnostics of each, defaults that hold for it included.
    """

    root: Path
    pipelines: Mapping[str, Pipeline]
    readable: Mapping[str, Pipeline]
    upstreams: Mapping[str, Pipeline]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...]
    by_file: Mapping[Path, tuple[Diagnostic, ...]]

    def diagnostics_of(self, file: Path) -> tuple[Diagnostic, ...]:
        """The diagnostics of one file; for a file that is not a pipeline, those in it."""
        file = file.absolute()
        return self.by_file.get(file) or tuple(diagnostic for diagnostic in self.diagnostics if diagnostic.file == file)


def read_together(
    file: Path,
    root: Path,
    index: Stems | None = None,
    environment: Environment | None = None,
    only: str | None = None,
) -> Together:
    """Read one file and just those that its pipelines read from.

    :param index: what `stems(root)` gave, where the caller has it already
    :param environment: what `${env:NAME}` may see; this process's unless it is given
    :param only: of the pipelines that a `matrix:` makes, read just the one of this name
    :raises PipelineErrors: with all diagnostics of the file, those in what it reads from others included.
    """
    together = look_together(file, root, index, environment, only)
    if not together.is_good:
        raise PipelineErrors(together.diagnostics, root.absolute())
    return together


def look_together(
    file: Path,
    root: Path,
    index: Stems | None = None,
    environment: Environment | None = None,
    only: str | None = None,
) -> Together:
    """As `read_together`, also where there are errors."""
    root = root.absolute()
    around = Index(stems(root) if index is None else index, root, environment)
    draft = around.draft(file.absolute(), only)
    names = {name for each in draft.variants for name in each.upstreams}
    found = {name: around.variant(name) for name in sorted(names)}
    return Together(
        pipelines=draft.pipelines,
        upstreams={name: variant.pipeline for name, variant in found.items() if variant is not None},
        diagnostics=in_order([*draft.diagnostics, *_name_diagnostics(draft, around), *_reading(draft, around)]),
    )


def cycle_diagnostics(
    file: Path, root: Path, index: Stems | None = None, environment: Environment | None = None
) -> tuple[Diagnostic, ...]:
    """What `read_tree` says of the cycles that go through `file`, without reading the tree.

    :param index: what `stems(root)` gave, where the caller has it already
    :param environment: what `${env:NAME}` may see; this process's unless it is given
    """
    root = root.absolute()
    around = Index(stems(root) if index is None else index, root, environment)
    start = around.draft(file.absolute())
    found = _ancestors(start, around)
    if not any(set(start.names) & upstream_names(variant.pipeline) for variant in found.values()):
        return ()
    ordered = {name: found[name] for name in sorted(found)}
    pipelines = {name: variant.pipeline for name, variant in ordered.items()}
    sources = {name: variant.source for name, variant in ordered.items()}
    return tuple(diagnostic for diagnostic in check_cycles(pipelines, sources) if diagnostic.file == start.file)


def _ancestors(start: Draft, around: Index) -> dict[str, Variant]:
    """By name, those of `start` included. A name that no file has, or several, is not followed: others report it."""
    found = {variant.name: variant for variant in start.variants}
    todo = list(found.values())
    while todo:
        for name in upstream_names(todo.pop().pipeline) - found.keys():
            if (variant := around.variant(name)) is not None:
                found[name] = variant
                todo.append(variant)
    return found


def read_tree(
    root: Path,
    environment: Environment | None = None,
    *,
    read: Reader = read_draft,
    last_good: Mapping[Path, Sequence[Pipeline]] | None = None,
) -> Tree:
    """Read every pipeline below `root`. Never raises for an error in a file: the good ones are there beside the bad.

    :param environment: what `${env:NAME}` may see; this process's unless it is given
    :param last_good: the last good pipelines of files, which are kept where a file has errors now: others
        are then checked against these
    :raises NotADirectoryError: when `root` is not a folder.
    """
    root = root.absolute()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder")
    known = last_good or {}
    paths: list[Path] = []
    others: list[Diagnostic] = []
    for file in yaml_files(root):
        if file.stem == Path(DEFAULTS).stem:
            others += defaults_diagnostics(file)
        elif says_so(file) or file in known:
            # What was a pipeline and cannot be read, or lost its first line, is one with an error.
            paths.append(file)
        else:
            others += near_miss(file)
    index = Index(stems_of(paths), root, environment, read)
    drafts = [index.draft(file) for file in paths]
    by_file, before = _judge(drafts, index, known)
    readable = {each.name: each.pipeline for each in _variants(drafts, index)}
    good = {
        name: pipeline
        for name, pipeline in readable.items()
        if not any(diagnostic.is_error for diagnostic in by_file[pipeline.file])
    }
    return Tree(
        root=root,
        pipelines=good,
        readable=readable,
        upstreams={**readable, **{each.name: each for own in before.values() for each in own}, **good},
        diagnostics=in_order([*others, *(diagnostic for own in by_file.values() for diagnostic in own)]),
        files=tuple(draft.file for draft in drafts),
        by_file={file: in_order(own) for file, own in by_file.items()},
    )


def _judge(
    drafts: Sequence[Draft], index: Index, last_good: Mapping[Path, Sequence[Pipeline]]
) -> tuple[dict[Path, list[Diagnostic]], dict[Path, Sequence[Pipeline]]]:
    """All diagnostics by file, and the files whose pipelines keep their last good version.

    A file that others no longer fit keeps its last good version, which its readers see: until nothing changes.
    """
    alone: dict[Path, list[Diagnostic]] = {
        draft.file: [*draft.diagnostics, *_name_diagnostics(draft, index)] for draft in drafts
    }
    _add_across(_variants(drafts, index), alone)
    before = {file: last_good[file] for file in _bad(alone) & last_good.keys()}
    while True:
        around = index.as_before(before)
        by_file = {draft.file: [*alone[draft.file], *_reading(draft, around)] for draft in drafts}
        turned = _bad(by_file) & last_good.keys() - before.keys()
        if not turned:
            return by_file, before
        # One that only reads from another of them may be right once that one keeps its last good version.
        reading = {draft.file: _upstream_files(draft, around) for draft in drafts if draft.file in turned}
        first = {file for file in turned if not reading[file] & turned - {file}} or turned
        before |= {file: last_good[file] for file in first}


def _bad(by_file: Mapping[Path, Sequence[Diagnostic]]) -> set[Path]:
    return {file for file, own in by_file.items() if any(diagnostic.is_error for diagnostic in own)}


def _variants(drafts: Iterable[Draft], index: Index) -> list[Variant]:
    """All whose name is theirs alone."""
    return [each for draft in drafts for each in draft.variants if len(index.making(each.name)) == 1]


def _upstream_files(draft: Draft, around: Index) -> set[Path]:
    names = (name for each in draft.pipelines for name in upstream_names(each))
    return {upstream.file for name in names for upstream in around.making(name)}


def _reading(draft: Draft, around: Index) -> tuple[Diagnostic, ...]:
    """What is wrong in what the pipelines of one file read from others."""
    try:
        return merged([(each.source.matrix, tuple(check_reads(each, around))) for each in draft.variants])
    except Exception as error:
        return (bug(error, "checking", draft.file),)


def _add_across(variants: Iterable[Variant], by_file: Mapping[Path, list[Diagnostic]]) -> None:
    """What only shows over all pipelines, added to the diagnostics of the files it is in."""
    pipelines = {variant.name: variant.pipeline for variant in variants}
    sources = {variant.name: variant.source for variant in variants}
    for diagnostic in (*check_cycles(pipelines, sources), *check_shared_places(pipelines, sources)):
        by_file[diagnostic.file].append(diagnostic)


def _name_diagnostics(draft: Draft, around: Index) -> tuple[Diagnostic, ...]:
    """A pipeline's name is its DAG's: of two files that make one name, neither is the right one."""
    if not draft.variants:
        taken = _taken(draft.file.stem, draft, around)
        return (Diagnostic("duplicate-name", taken, draft.file),) if taken else ()
    found = []
    for variant in draft.variants:
        where: Where = ("matrix",) if variant.source.matrix else ()
        taken = _taken(variant.name, draft, around)
        diagnostics = (variant.source.diagnostic(where, "duplicate-name", taken, key=True),) if taken else ()
        found.append((variant.source.matrix, diagnostics))
    return merged(found)


def _taken(name: str, draft: Draft, around: Index) -> str | None:
    """Who else makes a pipeline of that name, in words."""
    others = []
    for other in around.making(name):
        if other.file != draft.file:
            shown = str(other.file.relative_to(around.root))
            if other.variants and other.variants[0].source.matrix:
                place = other.variants[0].source.diagnostic(("matrix",), "", "", key=True)
                shown = f"the matrix of {shown}:{place.line}:{place.column}"
            others.append(shown)
    return f"the name `{name}` is taken twice: here and by {', '.join(others)}" if others else None
