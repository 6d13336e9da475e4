"""A pipeline as it is scheduled: read and checked once, kept as plain data, and what it was read from.

Parsing and running it start from here and not from YAML: that is what makes a parse cheap, and what lets the
last good version of a file that turned bad go on.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import airflow
import pydantic

import sluicegate
from sluicegate.pipeline.keys.model import Model, Pipeline
from sluicegate.pipeline.text.digest import source_digest

if TYPE_CHECKING:
    from sluicegate.pipeline.text.environment import Environment

__all__ = ["CompiledPipeline", "Reading", "form"]


@dataclass(frozen=True)
class Reading:
    """What a file said when it was read, its defaults and the variables that they ask for included."""

    digest: str
    env: tuple[str, ...] = ()
    """The names of those variables."""

    @classmethod
    def of(cls, pipeline: Pipeline) -> Reading:
        return cls(pipeline.digest, pipeline.env)

    def still_holds(self, file: Path, root: Path, environment: Callable[[], Environment]) -> bool:
        try:
            values = environment().values(self.env) if self.env else {}
            return source_digest(file, root, values) == self.digest
        except OSError:
            return False


@dataclass(frozen=True)
class CompiledPipeline:
    """One pipeline with what it reads from others.

    `text` is its own file. `good_since` is when this version was first found good. It is `older` where the file has
    another version, which is not good. `readings` say what the files said at the last scan, by path relative to the
    dags root: its own, and those that it reads from.
    """

    pipeline: Pipeline
    upstreams: Mapping[str, Pipeline]
    text: bytes
    good_since: datetime
    readings: Mapping[str, Reading]
    older: bool = False

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def file(self) -> str:
        """Relative to the dags root."""
        return self.pipeline.path

    @property
    def version(self) -> str:
        """By which a person recognises a version of the file: what it said, with its defaults."""
        return self.pipeline.digest[:12]

    def digest(self) -> str:
        """Changes with everything that the DAG is made from (sha256, hex)."""
        digest = hashlib.sha256(
            f"{form()}\0{self.name}\0{self.pipeline.digest}\0{self.older}".encode(errors="surrogateescape")
        )
        for name in sorted(self.upstreams):
            digest.update(f"\0{name}={self.upstreams[name].digest}".encode())
        return digest.hexdigest()

    def is_current(self, root: Path, environment: Callable[[], Environment]) -> bool:
        """Whether the files below `root` and the variables, if there are any, still say what this was made from."""
        return all(reading.still_holds(root / path, root, environment) for path, reading in self.readings.items())

    def at(self, root: Path) -> CompiledPipeline:
        """The same below another dags root: of a snapshot."""
        own = {"root": root, "file": root / self.file}
        return replace(self, pipeline=self.pipeline.model_copy(update=own))


@lru_cache(maxsize=1)
def form() -> str:
    """Whose compiled pipelines can be read here: they are pickled, for the same versions and models alone."""
    python = ".".join(platform.python_version_tuple()[:2])
    shapes = sorted(f"{kind.__name__}({','.join(kind.model_fields)})" for kind in _kinds(Model))
    shapes.append(",".join(each.name for each in fields(CompiledPipeline)))
    ours = f"{sluicegate.__version__}+{hashlib.sha256(' '.join(shapes).encode()).hexdigest()[:12]}"
    return f"sluicegate {ours} airflow {airflow.__version__} pydantic {pydantic.VERSION} py{python}"


def _kinds(kind: type[Model]) -> Iterator[type[Model]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("sluicegate.pipeline.keys."):  # not what only some processes have imported
            yield from _kinds(each)
