"""The pipelines that one file reads from, found by their names: no file is opened that cannot make one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sluicegate.pipeline.check.upstreams import Neighbours
from sluicegate.pipeline.file import Draft, read_draft
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.walk import SUFFIXES

__all__ = ["Near", "Stems", "candidates", "has_matrix", "is_pipeline_file", "says_so"]

_MARK = re.compile(rb"^(?:\xef\xbb\xbf)?sluicegate:", re.MULTILINE)

Stems = Mapping[str, tuple[Path, ...]]
"""The YAML files below a root by their stem. They need not be pipelines: only their names are known."""


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
    """Whether a file speaks of a matrix in any way: only reading it tells whether it has one."""
    try:
        return b"matrix" in file.read_bytes()
    except OSError:
        return False


def candidates(name: str, index: Stems) -> list[Path]:
    """The files that may make a pipeline of that name: by their stem, or, with a `matrix:`, by its first words."""
    words = name.split("_")
    return [file for count in range(len(words), 0, -1) for file in index.get("_".join(words[:count]), ())]


class Near:
    """Reads the files that may make a pipeline of some name, each once.

    Those are the ones with that stem, and those with a `matrix:` whose stem is how the name begins.
    """

    def __init__(self, index: Stems, root: Path, environment: Environment | None) -> None:
        self._index = index
        self._root = root
        self._environment = environment
        self._whole: dict[Path, Draft] = {}
        self._one: dict[tuple[Path, str], Draft] = {}

    def read(self, file: Path, only: str | None = None) -> Draft:
        """The draft of a file, or just of one of its pipelines."""
        if file in self._whole:
            return self._whole[file]
        if only is None:
            self._whole[file] = read_draft(file, self._root, self._environment)
            return self._whole[file]
        if (file, only) not in self._one:
            self._one[file, only] = read_draft(file, self._root, self._environment, only)
        return self._one[file, only]

    def neighbours(self, names: Iterable[str]) -> Neighbours:
        """The pipelines of those names. Others are known by their stems only: enough to suggest one."""
        files: dict[str, tuple[Path, ...]] = dict(self._index)
        drafts: dict[str, Draft] = {}
        matrices: dict[str, Draft] = {}
        for name in dict.fromkeys(names):
            making = []
            for file in candidates(name, self._index):
                if not says_so(file) or (file.stem != name and not _mentions(file)):
                    continue
                draft = self.read(file, name)
                if name in draft.names:
                    making.append(draft)
                if has_matrix(draft):
                    matrices[file.stem] = draft
            files[name] = tuple(draft.file for draft in making)
            if len(making) == 1:
                drafts[name] = making[0]
        for stem, draft in matrices.items():
            files = {each: there for each, there in files.items() if each != stem or draft.file not in there}
            files |= {each: (draft.file,) for each in draft.names if each not in files and draft.variants}
        return Neighbours(drafts, files, matrices, self._root)
