"""Lends a DuckDB to one load after the other: opening and closing one takes as long as loading a small file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, name_of
from sluicegate.load.parsed import execute
from sluicegate.records.engine import THREADS, open_duckdb, optimize
from sluicegate.runtime.folder import work_folder
from sluicegate.runtime.spare import Spare

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["allow_columns", "lend_duckdb"]

_COLUMN = 600_000
"""Bytes that a column takes before it has a record."""
_SETTINGS = "current_setting('memory_limit'), current_setting('threads')"
_LEFT = f"SELECT {_SETTINGS}, (SELECT list(table_name) FROM duckdb_tables() WHERE NOT internal)"
SMALL = 100_000
"""Bytes that are read faster by any plan than a good one is found."""
_USUAL = 100
"""Columns for which there is room in any limit that loads work with."""


@dataclass
class _Kept:
    duck: DuckDBPyConnection
    memory_limit: str
    work: Path
    """For the files of a load: the same place for each of them, so that their statements are the same too."""
    folder: ExitStack
    is_for_small: bool | None = None
    settings: tuple[object, ...] = ()
    """The values at first of what a load may change."""

    def ready(self, *, is_small: bool) -> None:
        if self.is_for_small != is_small:
            self.is_for_small = is_small
            optimize(self.duck, well=not is_small)
            self._set()
            [self.settings] = self.duck.execute(f"SELECT {_SETTINGS}").fetchall()

    def _set(self) -> None:
        # What one thread does in a few milliseconds takes longer where it has to wait for another one.
        threads = 1 if self.is_for_small else THREADS
        self.duck.execute(f"SET memory_limit = {literal(self.memory_limit)}; SET threads = {threads}")

    def empty(self) -> None:
        for left in self.work.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        [(*settings, tables)] = execute(self.duck, _LEFT).fetchall()
        if tables:
            execute(self.duck, "; ".join(f"DROP TABLE {name_of(str(name))}" for name in sorted(tables)))
        # Only now: a limit below what is in use would be refused.
        if tuple(settings) != self.settings:
            self._set()

    def close(self) -> None:
        self.duck.close()
        self.folder.close()


_spare: Spare[_Kept] = Spare(_Kept.close)


@contextmanager
def lend_duckdb(memory_limit: str, size: int | None = None) -> Iterator[tuple[DuckDBPyConnection, Path]]:
    """A DuckDB without tables and an empty folder, for one load. One that is left by an exception is closed, and not
    lent again.

    :param size: bytes of all that is read into it, where they are known.
    :raises FaultError: WRONG_USE when `memory_limit` is none.
    """
    kept = _take(memory_limit) or _open(memory_limit)
    try:
        kept.ready(is_small=size is not None and size <= SMALL)
        yield kept.duck, kept.work
        kept.empty()
    except BaseException:
        kept.close()
        raise
    _spare.give_back(kept)


def allow_columns(duck: DuckDBPyConnection, memory_limit: str, columns: int) -> None:
    """Let `duck`, until it is given back, have what so many columns take by themselves, beside their records."""
    if columns <= _USUAL:
        return
    row = duck.execute("SELECT parse_formatted_bytes(?)", [memory_limit]).fetchone()
    assert row is not None
    if (needed := columns * _COLUMN) > row[0] // 2:
        duck.execute(f"SET memory_limit = '{(int(row[0]) // 2 + needed) // 1_000_000}MB'")


def _take(memory_limit: str) -> _Kept | None:
    kept = _spare.take()
    if kept is None or kept.memory_limit == memory_limit:
        return kept
    kept.close()
    return None


def _open(memory_limit: str) -> _Kept:
    with ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        duck = open_duckdb(folder, memory_limit)
        (work := folder / "load").mkdir()
        return _Kept(duck, memory_limit, work, stack.pop_all())
