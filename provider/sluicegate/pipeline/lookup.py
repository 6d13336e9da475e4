"""The pipelines below a dags root by name: no file is opened that cannot make the one that is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.read.draft import Draft, Variant
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.source import Source
from sluicegate.pipeline.text.yaml import Document
from sluicegate.pipeline.walk import SUFFIXES, yaml_files

__all__ = ["Index", "Reader", "Stems", "candidates", "has_matrix", "is_pipeline_file", "says_so", "stems", "stems_of"]

_MARK = re.compile(rb"^(?:\xef\xbb\xbf)?sluicegate:", re.MULTILINE)

Stems = Mapping[str, tuple[Path, ...]]
"""The YAML files below a root by their stem. They need not be pipelines: only their names are known."""


Reader = Callable[[Path, Path, Environment | None], Draft]
"""How a file is read: `read_draft`, or one that remembers."""


def stems(root: Path) -> dict[str, tuple[Path, ...]]:
    """The YAML files below `root` by stem: one walk over the folders, no file is opened."""
    return stems_of(file for file in yaml_files(root.absolute()) if file.stem != Path(DEFAULTS).stem)


def stems_of(files: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """The files by their stem, in their order."""
    found: dict[str, tuple[Path, ...]] = {}
    for file in files:
        found[file.stem] = (*found.get(file.stem, ()), file)
    return found


def is_pipeline_file(file: Path) -> bool:
    """Whether a line of `file` begins with `sluicegate:` and its name is that of a pipeline file.

    :raises OSError: when it cannot be read.
    """
    named = file.suffix in SUFFIXES and file.stem != Path(DEFAULTS).stem
    return named and _MARK.search(file.read_bytes()) is not None


def says_so(file: Path) -> bool:
    """`is_pipeline_file`, where one that cannot be read is none."""
    try:
        return is_pipeline_file(file)
    except OSError:
        return False


def has_matrix(draft: Draft) -> bool:
    """Whether a file makes several pipelines, or would if it could be read."""
    return any(variant.source.matrix for variant in draft.variants) or (not draft.variants and _mentions(draft.file))


def _mentions(file: Path) -> bool:
    """Whether a file speaks of a matrix in any way: only reading it shows whether it has one."""
    try:
        return b"matrix" in file.read_bytes()
    except OSError:
        return False


def candidates(name: str, index: Stems) -> list[Path]:
    """The files that may make a pipeline of that name: by their stem, or, with a `matrix:`, by its first words."""
    words = name.split("_")
    return [file for count in range(len(words), 0, -1) for file in index.get("_".join(words[:count]), ())]


class Index:
    """The pipelines below a root by name; what may make the one that is asked for is read then, each file once.

    Those are the files with its name as their stem, and those with a `matrix:` whose stem is how the name begins.
    """

    def __init__(
        self, index: Stems, root: Path, environment: Environment | None = None, read: Reader = read_draft
    ) -> None:
        self.root = root
        self._index = index
        self._environment = environment
        self._read = read
        self._whole: dict[Path, Draft] = {}
        self._one: dict[tuple[Path, str], Draft] = {}
        self._before: frozenset[Path] = frozenset()

    def draft(self, file: Path, only: str | None = None) -> Draft:
        """The draft of a file, or just of one of its pipelines."""
        if file in self._whole:
            return self._whole[file]
        if only is None:
            self._whole[file] = self._read(file, self.root, self._environment)
            return self._whole[file]
        if (file, only) not in self._one:
            self._one[file, only] = read_draft(file, self.root, self._environment, only)
        return self._one[file, only]

    def making(self, name: str) -> tuple[Draft, ...]:
        """The files that make a pipeline of that name; where one of them keeps its last good version, it alone."""
        found = [draft for draft in self._candidates(name) if name in draft.names]
        return tuple([draft for draft in found if draft.file in self._before] or found)

    def variant(self, name: str) -> Variant | None:
        """The pipeline of that name, if one file makes it, and no other does."""
        making = self.making(name)
        return making[0].variant(name) if len(making) == 1 else None

    def matrices(self, name: str) -> tuple[Draft, ...]:
        """The files with a `matrix:` that may have been meant to make a pipeline of that name."""
        return tuple(draft for draft in self._candidates(name) if has_matrix(draft))

    def names(self) -> frozenset[str]:
        """Of all pipelines; of files that were not read, what they would make without a `matrix:`."""
        read = {file: draft for (file, _), draft in self._one.items()} | self._whole
        names = ((stem,) if file not in read else read[file].names for stem, own in self._index.items() for file in own)
        return frozenset(name for each in names for name in each)

    def as_before(self, pipelines: Mapping[Path, Sequence[Pipeline]]) -> Index:
        """The same, but with the files that keep their last good version, and what they made."""
        index = copy(self)
        index._whole = self._whole | {file: _draft_of(file, own) for file, own in pipelines.items()}
        index._before = frozenset(pipelines)
        return index

    def _candidates(self, name: str) -> Iterator[Draft]:
        for file in candidates(name, self._index):
            if file in self._whole or (says_so(file) and (file.stem == name or _mentions(file))):
                yield self.draft(file, name)


def _draft_of(file: Path, pipelines: Iterable[Pipeline]) -> Draft:
    return Draft(file, tuple(_variant_of(pipeline) for pipeline in pipelines), (), {})


def _variant_of(pipeline: Pipeline) -> Variant:
    blank = Source(pipeline.file, pipeline.root, (Document(pipeline.file, "", {}),), {}, pipeline.digest)
    return Variant(pipeline.name, replace(blank, name=pipeline.name, matrix=pipeline.matrix), pipeline, (), ())
