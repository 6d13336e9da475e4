"""The Airflow pools that pipelines name: an Airflow without them would not start their tasks, and not say why.

Made once, and again for files that come later. What a person has changed of a pool stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.local.stack.events import Event, Progress

if TYPE_CHECKING:
    import psycopg

    from sluicegate.graph.pools import Use

__all__ = ["PoolKeeper", "make_pools"]

_PAUSE = 5.0
"""Seconds between two looks at the names and times of the files."""

_SLOTS = {"cluster": 2, "warehouse": 8, "source": 4}
_OTHER_SLOTS = 8

_INSERT = """
INSERT INTO slot_pool (pool, slots, description, include_deferred) VALUES (%s, %s, %s, %s)
ON CONFLICT (pool) DO NOTHING
"""


class PoolKeeper:
    """Makes missing pools when files have changed. Called by the supervisor's loop, whose process has one thread."""

    def __init__(self, dags: Path, connect: Callable[[], psycopg.Connection], say: Progress) -> None:
        self._dags = dags
        self._connect = connect
        self._say = say
        self._seen: Collection[object] = ()
        self._next = 0.0
        self._failed = ""

    def tick(self) -> None:
        """Look, but seldom; what fails is said once, and tried again."""
        if time.monotonic() < self._next:
            return
        try:
            self.look()
            self._failed = ""
        except Exception as error:
            # Postgres restarts, a folder is away: the next look may find them again.
            if self._failed != (failed := f"the pools of the pipelines cannot be made: {error}"):
                self._say(Event("note", failed))
            self._failed = failed
        self._next = time.monotonic() + _PAUSE

    def look(self) -> None:
        """Make the pools that are missing, if files have changed since the last look."""
        now = tuple(_files(self._dags))
        if now == self._seen:
            return
        if named := _named(self._dags):
            with self._connect() as connection:
                for name, slots in make_pools(connection, named):
                    self._say(Event("note", f"made the pool {name} with {slots} slots"))
        self._seen = now


def make_pools(connection: psycopg.Connection, named: dict[str, frozenset[Use]]) -> Iterator[tuple[str, int]]:
    """Make those of the pools that are missing in Airflow's database; each that was made, with its slots."""
    for name, uses in named.items():
        slots = min((_SLOTS[use] for use in uses if use in _SLOTS), default=_OTHER_SLOTS)
        # A task is deferred while its cluster lives; one that waits for a retry or a circuit is to hold nothing.
        holds_deferred = "cluster" in uses
        made = connection.execute(_INSERT, [name, slots, "Made by `sluicegate up`", holds_deferred])
        if made.rowcount:
            yield name, slots


def _files(dags: Path) -> Iterator[tuple[str, int, int]]:
    from sluicegate.pipeline.walk import yaml_files

    for file in yaml_files(dags):
        try:
            found = file.stat()
        except OSError:
            continue
        yield str(file), found.st_mtime_ns, found.st_size


def _named(dags: Path) -> dict[str, frozenset[Use]]:
    from sluicegate.pipeline.walk import yaml_files

    if not any(b"pool" in file.read_bytes() for file in yaml_files(dags)):
        return {}  # without the reader of pipelines, which a supervisor can do without
    from sluicegate.graph.pools import pools_of
    from sluicegate.pipeline.tree import read_tree

    return pools_of(read_tree(dags).pipelines.values())
