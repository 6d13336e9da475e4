"""What a bundle keeps in Airflow's storage: stubs, the last good version of each pipeline, what was found out before.

Any number of processes may write at once: each of them writes something that is right by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sluicegate.discovery.cache import Cache, Kind, sweep, write_whole
from sluicegate.discovery.compiled import CompiledPipeline, form
from sluicegate.discovery.stubs import LEAST, SHARDS, shard_name

__all__ = ["BUILD_FAILURES", "BuildFailure", "BundleStore"]


@dataclass(frozen=True)
class BuildFailure:
    """Why a pipeline could not be built when Airflow parsed it, and when that was (seconds since the epoch)."""

    name: str
    text: str
    time: float


PIPELINES = Kind("pipelines", CompiledPipeline, form)
"""By name: the last good version, which nothing can make again once its file is bad."""

BUILD_FAILURES = Kind("build-failures", BuildFailure, form)
"""By the digest of the compiled pipeline that could not be built: the next scan takes them."""


@dataclass(frozen=True)
class BundleStore:
    """`folder` need not exist."""

    folder: Path

    @property
    def cache(self) -> Cache:
        return Cache(self.folder)

    @property
    def stubs(self) -> Path:
        return self.folder / "stubs"

    @property
    def tree(self) -> Path:
        """In a snapshot, the dags root of that time."""
        return self.folder / "tree"

    @property
    def sync_state(self) -> Path:
        """What the tree was like when the stubs were made of it. Where there is none, no process keeps this store."""
        return self.folder / "tree.json"

    def has_stubs(self) -> bool:
        """Whether there is one for every shard that Airflow may name when a task starts."""
        return self.sync_state.exists() or (self.stubs / shard_name(LEAST - 1)).exists()

    def pipeline(self, name: str) -> CompiledPipeline | None:
        """The last good version of a pipeline, if there is one that can be read here."""
        return self.cache.get(PIPELINES, name)

    def names(self) -> list[str]:
        """Of the pipelines that are kept here."""
        return self.cache.keys(PIPELINES)

    def put(self, pipeline: CompiledPipeline) -> None:
        if pipeline.older:
            write_whole(self.older(pipeline.name), _headed(pipeline))
        self.cache.put(PIPELINES, pipeline.name, pipeline)
        if not pipeline.older:
            self.older(pipeline.name).unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        self.cache.forget(PIPELINES, name)
        self.older(name).unlink(missing_ok=True)

    def older(self, name: str) -> Path:
        """What the file of a pipeline said of which an older version runs, for Airflow's Code tab."""
        return self.folder / "older" / f"{name}.yaml"

    def files_of(self, pipeline: CompiledPipeline) -> list[Path]:
        """The files that make up the pipeline here."""
        path = self.cache.path(PIPELINES, pipeline.name)
        return [path, self.older(pipeline.name)] if pipeline.older else [path]

    def report_failure(self, name: str, digest: str, text: str) -> None:
        """Note for the next scan that the compiled pipeline with that digest could not be built."""
        self.cache.put(BUILD_FAILURES, digest, BuildFailure(name, text, time.time()))

    def build_failures(self) -> dict[str, BuildFailure | None]:
        """By the digest of what could not be built; None for one that cannot be read here."""
        return {key: self.cache.get(BUILD_FAILURES, key) for key in self.cache.keys(BUILD_FAILURES)}

    def withdraw(self, digests: Iterable[str]) -> None:
        """Forget these build failures."""
        for digest in digests:
            self.cache.forget(BUILD_FAILURES, digest)

    def sweep(self) -> None:
        """Remove what killed processes left behind."""
        for folder in (self.folder, *self.folder.glob("*/"), self.stubs / SHARDS):
            for draft in sweep(folder):
                draft.unlink(missing_ok=True)


def _headed(pipeline: CompiledPipeline) -> bytes:
    """What the file said, under a line that says which file and version it is: Airflow's Code tab names the shard."""
    head = f"# {pipeline.file!r}, version {pipeline.version}, good since {pipeline.good_since:%Y-%m-%d %H:%M} UTC."
    return f"{head} The file has errors now: see the import errors.\n".encode(errors="replace") + pipeline.text
