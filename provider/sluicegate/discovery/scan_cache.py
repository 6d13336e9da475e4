"""What earlier looks at a dags root found out, kept between them: useful only where the same things are installed."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import sluicegate
from sluicegate.discovery.compiled import Reading, form
from sluicegate.discovery.store import Home, write_whole
from sluicegate.factory.problems import Problem
from sluicegate.pipeline.read.draft import Draft

__all__ = ["Memory", "world"]


@dataclass
class Memory:
    """What earlier looks found out. `drafts` are by file: its reading, the code it was judged by, and what came out;
    `trials` by the digest of what was built: all code as it was where there were errors, and what came out;
    `complaints` all code as it was when a pipeline could not be built.
    """

    drafts: dict[str, tuple[Reading, str, Draft]] = field(default_factory=dict)
    trials: dict[str, tuple[str, tuple[Problem, ...]]] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Home) -> Memory:
        try:
            head, _, body = home.memory.read_bytes().partition(b"\n")
            found = pickle.loads(body) if head == world().encode() else None  # noqa: S301 - see `entry.load`
        except Exception:
            found = None
        return found if isinstance(found, cls) else cls()

    def keep(self, home: Home) -> None:
        write_whole(home.memory, world().encode() + b"\n" + pickle.dumps(self, pickle.HIGHEST_PROTOCOL))


@lru_cache(maxsize=1)
def world() -> str:
    """Everything that is installed: with another provider another argument may be right.

    Our own files too: under one version they may be a working copy.
    """
    there = sorted({name for folder in sys.path for name in _installed(folder)})
    for file in sorted(Path(sluicegate.__file__).parent.rglob("*.py")):
        state = file.stat()
        there.append(f"{file.name} {state.st_mtime_ns} {state.st_size}")
    return f"{form()} {hashlib.sha256(' '.join(there).encode(errors='surrogateescape')).hexdigest()}"


def _installed(folder: str) -> list[str]:
    """The distributions in a folder of `sys.path`, each with its version: the names say it, no file is opened."""
    try:
        return [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
    except OSError:
        return []  # a zip file, or nothing
