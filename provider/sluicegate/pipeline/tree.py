"""All pipelines below a folder: which files they are, one of them with what it needs, or all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sluicegate.graph.datasets import upstream_names
from sluicegate.pipeline.check.upstreams import Neighbours, check_cycles, check_reads, check_shared_places
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where, bug, did_you_mean, in_order
from sluicegate.pipeline.file import DEFAULTS_KEYS, KEYS, Draft, Variant, read_draft
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.lookup import Near, Stems, has_matrix, is_pipeline_file, says_so
from sluicegate.pipeline.read.matrix import merged
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.source import Source
from sluicegate.pipeline.text.yaml import Document, parse
from sluicegate.pipeline.walk import yaml_files

__all__ = ["Stems", "Together", "Tree", "is_pipeline_file", "read_together", "read_tree", "stems"]

_KEY = re.compile(r"^([A-Za-z_-]+):", re.MULTILINE)


Reader = Callable[[Path, Path, Environment | None], Draft]
"""How a file is read: `read_draft`, or one that remembers."""


@dataclass(frozen=True)
class Together:
    """The pipelines of a file that is right, with those that they read from, as far as they could be read."""

    pipelines: tuple[Pipeline, ...]
    upstreams: Mapping[str, Pipeline]
    warnings: tuple[Diagnostic, ...]

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

    `readable` are the good ones and, as far as they could be read, those with mistakes: enough to read from.
    `upstreams` are what other pipelines were checked against: of files with mistakes those of before, where there are.
    `files` are the pipeline files, `by_file` the mistakes of each, defaults that hold for it included.
    """

    root: Path
    pipelines: Mapping[str, Pipeline]
    readable: Mapping[str, Pipeline]
    upstreams: Mapping[str, Pipeline]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...]
    by_file: Mapping[Path, tuple[Diagnostic, ...]]

    def diagnostics_of(self, file: Path) -> tuple[Diagnostic, ...]:
        """The mistakes of one file; for a file that is no pipeline, those that stand in it."""
        file = file.absolute()
        return self.by_file.get(file) or tuple(diagnostic for diagnostic in self.diagnostics if diagnostic.file == file)


def stems(root: Path) -> dict[str, tuple[Path, ...]]:
    """The YAML files below `root` by stem: one walk over the folders, no file is opened."""
    found: dict[str, tuple[Path, ...]] = {}
    for file in yaml_files(root.absolute()):
        if file.stem != Path(DEFAULTS).stem:
            found[file.stem] = (*found.get(file.stem, ()), file)
    return found


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
    :raises PipelineErrors: with all mistakes of the file, those in what it reads from others included.
    """
    root = root.absolute()
    near = Near(stems(root) if index is None else index, root, environment)
    draft = near.read(file.absolute(), only)
    neighbours = near.neighbours(name for each in draft.variants for name in each.upstreams)
    diagnostics = [
        *draft.diagnostics,
        *_name_diagnostics(draft, near.neighbours(draft.names)),
        *_reading(draft, neighbours),
    ]
    if not draft.variants or any(diagnostic.is_error for diagnostic in diagnostics):
        raise PipelineErrors(diagnostics, root)
    found = {name: each.variant(name) for name, each in neighbours.drafts.items()}
    upstreams = {name: variant.pipeline for name, variant in found.items() if variant is not None}
    return Together(draft.pipelines, upstreams, in_order(diagnostics))


def read_tree(
    root: Path,
    environment: Environment | None = None,
    *,
    read: Reader = read_draft,
    last_good: Mapping[Path, Sequence[Pipeline]] | None = None,
) -> Tree:
    """Read every pipeline below `root`. Never raises for a mistake: the good are there beside the bad.

    :param environment: what `${env:NAME}` may see; this process's unless it is given
    :param last_good: the pipelines of files as they were before, which go on where a file has mistakes now: others
        are then checked against these
    :raises NotADirectoryError: when `root` is no folder.
    """
    root = root.absolute()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    known = last_good or {}
    paths: list[Path] = []
    others: list[Diagnostic] = []
    for file in yaml_files(root):
        if file.stem == Path(DEFAULTS).stem:
            others += _defaults_diagnostics(file)
        elif says_so(file) or file in known:
            # What was a pipeline and cannot be read, or lost its first line, is one with a mistake.
            paths.append(file)
        else:
            others += _near_miss(file)
    drafts = [read(file, root, environment) for file in paths]
    by_file, before = _judge(drafts, root, known)
    called = _all_neighbours(drafts, root).drafts
    readable = {each.name: each.pipeline for draft in drafts for each in draft.variants if each.name in called}
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
    drafts: Sequence[Draft], root: Path, last_good: Mapping[Path, Sequence[Pipeline]]
) -> tuple[dict[Path, list[Diagnostic]], dict[Path, Sequence[Pipeline]]]:
    """All mistakes by file, and the files whose pipelines go on as they were before.

    A file that others no longer fit goes on as it was, which those see that read from it: until nothing changes.
    """
    called = _all_neighbours(drafts, root)
    alone: dict[Path, list[Diagnostic]] = {
        draft.file: [*draft.diagnostics, *_name_diagnostics(draft, called)] for draft in drafts
    }
    _add_across([each for draft in drafts for each in draft.variants if each.name in called.drafts], alone)
    before = {file: last_good[file] for file in _bad(alone) & last_good.keys()}
    while True:
        around = _with(called, before)
        by_file = {draft.file: [*alone[draft.file], *_reading(draft, around)] for draft in drafts}
        turned = _bad(by_file) & last_good.keys() - before.keys()
        if not turned:
            return by_file, before
        # One that only reads from another of them may be right once that one goes on as it was.
        reading = {draft.file: _upstream_files(draft, around) for draft in drafts if draft.file in turned}
        first = {file for file in turned if not reading[file] & turned - {file}} or turned
        before |= {file: last_good[file] for file in first}


def _bad(by_file: Mapping[Path, Sequence[Diagnostic]]) -> set[Path]:
    return {file for file, own in by_file.items() if any(diagnostic.is_error for diagnostic in own)}


def _upstream_files(draft: Draft, neighbours: Neighbours) -> set[Path]:
    names = (name for each in draft.pipelines for name in upstream_names(each))
    return {file for name in names for file in neighbours.files.get(name, ())}


def _with(neighbours: Neighbours, before: Mapping[Path, Sequence[Pipeline]]) -> Neighbours:
    """The neighbours, of whom some are as they were before."""
    drafts, files = dict(neighbours.drafts), dict(neighbours.files)
    for file, pipelines in before.items():
        as_it_was = Draft(file, tuple(_as_it_was(pipeline) for pipeline in pipelines), (), {})
        drafts |= {pipeline.name: as_it_was for pipeline in pipelines}
        files |= {pipeline.name: (file,) for pipeline in pipelines}
    return replace(neighbours, drafts=drafts, files=files)


def _as_it_was(pipeline: Pipeline) -> Variant:
    blank = Source(pipeline.file, pipeline.root, (Document(pipeline.file, "", {}),), {}, pipeline.digest)
    return Variant(pipeline.name, replace(blank, name=pipeline.name, matrix=pipeline.matrix), pipeline, (), ())


def _all_neighbours(drafts: Iterable[Draft], root: Path) -> Neighbours:
    files: dict[str, tuple[Path, ...]] = {}
    by_name: dict[str, Draft] = {}
    for draft in drafts:
        for name in draft.names:
            files[name] = (*files.get(name, ()), draft.file)
            by_name[name] = draft
    return Neighbours(
        drafts={name: draft for name, draft in by_name.items() if len(files[name]) == 1},
        files=files,
        matrices={draft.file.stem: draft for draft in drafts if has_matrix(draft)},
        root=root,
    )


def _reading(draft: Draft, neighbours: Neighbours) -> tuple[Diagnostic, ...]:
    """What is wrong in what the pipelines of one file read from others."""
    try:
        return merged([(each.source.matrix, tuple(check_reads(each, neighbours))) for each in draft.variants])
    except Exception as error:
        return (bug(error, "checking", draft.file),)


def _add_across(variants: Iterable[Variant], by_file: Mapping[Path, list[Diagnostic]]) -> None:
    """What only shows over all pipelines, added to the mistakes of the files where it stands."""
    pipelines = {variant.name: variant.pipeline for variant in variants}
    sources = {variant.name: variant.source for variant in variants}
    for diagnostic in (*check_cycles(pipelines, sources), *check_shared_places(pipelines, sources)):
        by_file[diagnostic.file].append(diagnostic)


def _name_diagnostics(draft: Draft, neighbours: Neighbours) -> tuple[Diagnostic, ...]:
    """A pipeline's name is its DAG's: of two files that make one name, neither is the right one."""
    if not draft.variants:
        taken = _taken(draft.file.stem, draft, neighbours)
        return (Diagnostic("duplicate-name", taken, draft.file),) if taken else ()
    found = []
    for variant in draft.variants:
        where: Where = ("matrix",) if variant.source.matrix else ()
        taken = _taken(variant.name, draft, neighbours)
        diagnostics = (variant.source.diagnostic(where, "duplicate-name", taken, key=True),) if taken else ()
        found.append((variant.source.matrix, diagnostics))
    return merged(found)


def _taken(name: str, draft: Draft, neighbours: Neighbours) -> str | None:
    """Who else makes a pipeline of that name, in words."""
    others = []
    for file in neighbours.files.get(name, ()):
        if file != draft.file and file.is_relative_to(neighbours.root):
            shown = str(file.relative_to(neighbours.root))
            matrix = neighbours.matrices.get(file.stem)
            if matrix is not None and matrix.file == file and matrix.variants:
                place = matrix.variants[0].source.diagnostic(("matrix",), "", "", key=True)
                shown = f"the matrix of {shown}:{place.line}:{place.column}"
            others.append(shown)
    return f"the name `{name}` is taken twice: here and by {', '.join(others)}" if others else None


def _near_miss(file: Path) -> list[Diagnostic]:
    """A warning where a file was probably meant to be a pipeline."""
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        return [Diagnostic("unreadable", f"this cannot be read: {error.strerror or error}", file, severity="warning")]
    for match in _KEY.finditer(text):
        if did_you_mean(match[1], ("sluicegate",)) and match[1] not in KEYS:
            line = text.count("\n", 0, match.start()) + 1
            return [
                Diagnostic(
                    code="not-a-pipeline",
                    message=f"this file is left alone: no line begins with `sluicegate:` (`{match[1]}:`)",
                    file=file,
                    line=line,
                    where=match[1],
                    suggestion="sluicegate",
                    source=text.splitlines()[line - 1],
                    severity="warning",
                )
            ]
    return []


def _defaults_diagnostics(file: Path) -> list[Diagnostic]:
    """The mistakes that a `defaults.yaml` has by itself, also where no pipeline is below it."""
    if file.name != DEFAULTS:
        message = f"this file is left alone: defaults are read from `{DEFAULTS}`"
        return [Diagnostic("not-a-pipeline", message, file, severity="warning", suggestion=DEFAULTS)]
    try:
        document = parse(file.read_bytes(), file)
    except OSError as error:
        return [Diagnostic("unreadable", f"this cannot be read: {error.strerror or error}", file)]
    except PipelineErrors as errors:
        return list(errors.diagnostics)
    found = list(document.diagnostics)
    for key in document.value:
        if key not in DEFAULTS_KEYS:
            _, _, place, _ = document.follow((key,))
            message = f"`{DEFAULTS}` has no key `{key}`"
            diagnostic = document.diagnostic("unknown-key", message, place, (key,))
            found.append(replace(diagnostic, suggestion=did_you_mean(key, DEFAULTS_KEYS)))
    return found
