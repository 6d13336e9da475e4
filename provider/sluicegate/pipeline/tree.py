"""All pipelines below a folder: which files they are, one of them with what it needs, or all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sluicegate.pipeline.errors import Mistake, PipelineErrors, did_you_mean, in_order
from sluicegate.pipeline.graph import upstream_names
from sluicegate.pipeline.model import Pipeline
from sluicegate.pipeline.read import DEFAULTS_KEYS, KEYS, Draft, read_draft
from sluicegate.pipeline.source import DEFAULTS
from sluicegate.pipeline.upstreams import Neighbours, check_cycles, check_reads, check_shared_places
from sluicegate.pipeline.walk import SUFFIXES, yaml_files
from sluicegate.pipeline.yaml import parse

__all__ = ["Stems", "Together", "Tree", "is_pipeline_file", "read_together", "read_tree", "stems"]

_MARK = re.compile(rb"^(?:\xef\xbb\xbf)?sluicegate:", re.MULTILINE)
_KEY = re.compile(r"^([A-Za-z_-]+):", re.MULTILINE)

Stems = Mapping[str, tuple[Path, ...]]
"""The YAML files below a root by their stem. They need not be pipelines: only their names are known."""


@dataclass(frozen=True)
class Together:
    """A pipeline that is right, with those that it reads from, as far as they could be read."""

    pipeline: Pipeline
    upstreams: Mapping[str, Pipeline]
    warnings: tuple[Mistake, ...]


@dataclass(frozen=True)
class Tree:
    """All pipelines below a root: the good ones by name, and what is wrong with the others.

    `readable` are the good ones and, as far as they could be read, those with mistakes: enough to read from.
    `files` are the pipeline files, `by_file` the mistakes of each, defaults that hold for it included.
    """

    root: Path
    pipelines: Mapping[str, Pipeline]
    readable: Mapping[str, Pipeline]
    mistakes: tuple[Mistake, ...]
    files: tuple[Path, ...]
    by_file: Mapping[Path, tuple[Mistake, ...]]

    def mistakes_of(self, file: Path) -> tuple[Mistake, ...]:
        """The mistakes of one file; for a file that is no pipeline, those that stand in it."""
        file = file.absolute()
        return self.by_file.get(file) or tuple(mistake for mistake in self.mistakes if mistake.file == file)


def stems(root: Path) -> dict[str, tuple[Path, ...]]:
    """The YAML files below `root` by stem: one walk over the folders, no file is opened."""
    found: dict[str, tuple[Path, ...]] = {}
    for file in yaml_files(root.absolute()):
        if file.stem != Path(DEFAULTS).stem:
            found[file.stem] = (*found.get(file.stem, ()), file)
    return found


def is_pipeline_file(file: Path) -> bool:
    """Whether a line of `file` begins with `sluicegate:` and its name is that of a pipeline file.

    :raises OSError: when it cannot be read.
    """
    named = file.suffix in SUFFIXES and file.stem != Path(DEFAULTS).stem
    return named and _MARK.search(file.read_bytes()) is not None


def read_together(file: Path, root: Path, index: Stems | None = None) -> Together:
    """Read one pipeline and just those that it reads from.

    :param index: what `stems(root)` gave, where the caller has it already
    :raises PipelineErrors: with all mistakes of the file, those in what it reads from others included.
    """
    root = root.absolute()
    known = stems(root) if index is None else index
    draft = read_draft(file, root)
    mistakes = [*draft.mistakes, *_name_mistakes(draft, _pipelines_called(draft.file.stem, known), root)]
    upstreams: Mapping[str, Pipeline] = {}
    if draft.pipeline is not None:
        neighbours = _neighbours(draft.pipeline, known, root)
        mistakes += check_reads(draft, neighbours)
        upstreams = {name: each.pipeline for name, each in neighbours.drafts.items() if each.pipeline is not None}
    if draft.pipeline is None or any(mistake.is_error for mistake in mistakes):
        raise PipelineErrors(mistakes, root)
    return Together(draft.pipeline, upstreams, in_order(mistakes))


def read_tree(root: Path) -> Tree:
    """Read every pipeline below `root`. Never raises for a mistake: the good are there beside the bad.

    :raises NotADirectoryError: when `root` is no folder.
    """
    root = root.absolute()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    files: dict[str, tuple[Path, ...]] = {}
    others: list[Mistake] = []
    for file in yaml_files(root):
        if file.stem == Path(DEFAULTS).stem:
            others += _defaults_mistakes(file)
        elif _says_so(file):
            files[file.stem] = (*files.get(file.stem, ()), file)
        else:
            others += _near_miss(file)
    drafts = [read_draft(file, root) for same in files.values() for file in same]
    by_file = {draft.file: [*draft.mistakes, *_name_mistakes(draft, files[draft.file.stem], root)] for draft in drafts}
    alone = {draft.file.stem: draft for draft in drafts if len(files[draft.file.stem]) == 1}
    neighbours = Neighbours(alone, files, root)
    for draft in drafts:
        by_file[draft.file] += check_reads(draft, neighbours)
    readable = {name: draft.pipeline for name, draft in alone.items() if draft.pipeline is not None}
    sources = {name: draft.source for name, draft in alone.items() if draft.source is not None}
    for mistake in (*check_cycles(readable, sources), *check_shared_places(readable, sources)):
        by_file[mistake.file].append(mistake)
    good = {
        name: pipeline
        for name, pipeline in readable.items()
        if not any(mistake.is_error for mistake in by_file[pipeline.file])
    }
    return Tree(
        root=root,
        pipelines=good,
        readable=readable,
        mistakes=in_order([*others, *(mistake for own in by_file.values() for mistake in own)]),
        files=tuple(draft.file for draft in drafts),
        by_file={file: in_order(own) for file, own in by_file.items()},
    )


def _says_so(file: Path) -> bool:
    """`is_pipeline_file`, where one that cannot be read is none."""
    try:
        return is_pipeline_file(file)
    except OSError:
        return False


def _pipelines_called(name: str, index: Stems) -> tuple[Path, ...]:
    """The pipeline files of that name: of the files with that stem, those that say so."""
    return tuple(file for file in index.get(name, ()) if _says_so(file))


def _neighbours(pipeline: Pipeline, index: Stems, root: Path) -> Neighbours:
    names = upstream_names(pipeline)
    # Those that are not asked for are known by name only: enough to suggest one.
    files = {name: _pipelines_called(name, index) if name in names else found for name, found in index.items()}
    drafts = {name: read_draft(files[name][0], root) for name in names if len(files.get(name, ())) == 1}
    return Neighbours(drafts, files, root)


def _name_mistakes(draft: Draft, same: Iterable[Path], root: Path) -> list[Mistake]:
    """A pipeline's name is its DAG's: of two files with one name, neither is the right one."""
    others = [str(file.relative_to(root)) for file in same if file != draft.file and file.is_relative_to(root)]
    if not others:
        return []
    message = f"the name `{draft.file.stem}` is taken twice: here and by {', '.join(others)}"
    if draft.source is None:
        return [Mistake("duplicate-name", message, draft.file)]
    return [draft.source.mistake((), "duplicate-name", message)]


def _near_miss(file: Path) -> list[Mistake]:
    """A warning where a file was probably meant to be a pipeline."""
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        return [Mistake("unreadable", f"this cannot be read: {error.strerror or error}", file, severity="warning")]
    for match in _KEY.finditer(text):
        if did_you_mean(match[1], ("sluicegate",)) and match[1] not in KEYS:
            line = text.count("\n", 0, match.start()) + 1
            return [
                Mistake(
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


def _defaults_mistakes(file: Path) -> list[Mistake]:
    """The mistakes that a `defaults.yaml` has by itself, also where no pipeline is below it."""
    if file.name != DEFAULTS:
        message = f"this file is left alone: defaults are read from `{DEFAULTS}`"
        return [Mistake("not-a-pipeline", message, file, severity="warning", suggestion=DEFAULTS)]
    try:
        document = parse(file.read_bytes(), file)
    except OSError as error:
        return [Mistake("unreadable", f"this cannot be read: {error.strerror or error}", file)]
    except PipelineErrors as errors:
        return list(errors.mistakes)
    found = list(document.mistakes)
    for key in document.value:
        if key not in DEFAULTS_KEYS:
            _, _, place, _ = document.follow((key,))
            message = f"`{DEFAULTS}` has no key `{key}`"
            mistake = document.mistake("unknown-key", message, place, (key,))
            found.append(replace(mistake, suggestion=did_you_mean(key, DEFAULTS_KEYS)))
    return found
