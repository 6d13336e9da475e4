"""What the dags root was like when the stubs were made of it, as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from sluicegate.discovery.cache import write_whole

__all__ = ["Reparse", "SyncState"]


@dataclass(frozen=True)
class Reparse:
    """A stub to be parsed once more, and when (seconds since the epoch)."""

    due: float
    stub: str


@dataclass(frozen=True)
class SyncState:
    """`tree` is a digest of the files below the root, empty where they may have changed since; `stubs` are those that
    were made of them. The pipelines are spread over `shards`, `size` of them in each, on average.
    """

    tree: str = ""
    size: int = 0
    shards: int | None = None
    version: str = ""
    """Of the snapshot; empty where none are kept."""
    pipelines: Mapping[str, str] = field(default_factory=dict)
    """The file of each pipeline that is scheduled, by its name."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with which file."""
    stubs: tuple[str, ...] = ()
    again: tuple[Reparse, ...] = ()

    @classmethod
    def read(cls, path: Path) -> SyncState:
        """One that knows nothing where there is none, or none that can be read."""
        try:
            found = json.loads(path.read_bytes())
            if set(found) != {each.name for each in fields(cls)}:
                return cls()
            again = tuple(Reparse(float(each["due"]), str(each["stub"])) for each in found["again"])
            return cls(**{**found, "stubs": tuple(found["stubs"]), "again": again})
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        write_whole(path, json.dumps(asdict(self)).encode())
