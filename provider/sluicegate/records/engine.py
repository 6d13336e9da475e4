"""The DuckDB that a load works with: in this process, under a fixed memory limit, spilling into the load's folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.checks.dialect import PARSES, SEARCH
from sluicegate.checks.functions import parses, search
from sluicegate.faults import fault
from sluicegate.records.arrays import ARRAY, literal_or_none
from sluicegate.records.exact import CANONICAL, PLACES, canonical_number, places
from sluicegate.records.jsonnumbers import MARK_NUMBERS, mark_numbers

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["THREADS", "open_duckdb", "optimize", "with_room"]

log = logging.getLogger("sluicegate.load")

T = TypeVar("T")

THREADS = 2
_TIMES = 4
"""How often there is twice the memory: what reads 2,048 records at once needs room for as many, however long."""
_NEEDED = {"filter_pushdown", "join_order", "deliminator"}
"""The optimizers without which a join compares each record with each."""


def open_duckdb(folder: Path, memory_limit: str) -> DuckDBPyConnection:
    """A DuckDB of its own in this process, which spills into `folder`.

    :raises FaultError: WRONG_USE when `memory_limit` is none.
    """
    import duckdb
    from duckdb.func import SPECIAL

    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    config: dict[str, Any] = {"temp_directory": str(spill), "threads": THREADS, "autoinstall_known_extensions": False}
    try:
        duck = duckdb.connect(":memory:", config={**config, "memory_limit": memory_limit})
    except duckdb.Error as error:
        raise fault("WRONG_USE", f"load_memory_limit is {memory_limit!r}, not a size such as 256MB: {error}") from error
    duck.create_function(SEARCH, search, ["VARCHAR", "VARCHAR"], "BOOLEAN")
    duck.create_function(PARSES, parses, ["VARCHAR", "VARCHAR", "VARCHAR"], "BOOLEAN")
    duck.create_function(CANONICAL, canonical_number, ["VARCHAR"], "VARCHAR")
    duck.create_function(PLACES, places, ["VARCHAR"], "INTEGER")
    duck.create_function(MARK_NUMBERS, mark_numbers, ["VARCHAR"], "VARCHAR")
    duck.create_function(ARRAY, literal_or_none, ["VARCHAR", "VARCHAR"], "VARCHAR", null_handling=SPECIAL)
    # Global: a cursor begins with the global settings, and with the machine's zone where there is none.
    duck.execute("SET GLOBAL TimeZone = 'UTC'")
    duck.execute("SET enable_progress_bar = false")
    optimize(duck)
    # Beside the limit, for rows that wait to be fetched; ten times as much was no faster.
    duck.execute("SET streaming_buffer_size = '1MB'")
    # Few long records would be gathered until there are 2,048, and copied so by each function.
    duck.execute("SET enable_caching_operators = false")
    # Parts of files that are read once would take room from the records.
    duck.execute("SET enable_external_file_cache = false")
    return duck


def optimize(duck: DuckDBPyConnection, *, well: bool = True) -> None:
    """Have `duck` and its cursors look for good plans; else for those alone whose cost grows with the records only."""
    # Out of a Parquet file's statistics it concludes that a cast of NaN, which fails, cannot have failed.
    without = ["statistics_propagation"]
    if not well:
        every = [str(name) for (name,) in duck.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
        without = [name for name in every if name not in _NEEDED]
    duck.execute(f"SET disabled_optimizers = '{','.join(without)}'")


def with_room(duck: DuckDBPyConnection, work: Callable[[], T]) -> T:
    """What `work` returns. Where DuckDB lacks memory it is done again: by one thread, then with twice the memory."""
    import duckdb

    with suppress(duckdb.OutOfMemoryException):
        return work()
    duck.execute("SET threads = 1")
    for _ in range(_TIMES):
        with suppress(duckdb.OutOfMemoryException):
            return work()
        row = duck.execute("SELECT 2 * parse_formatted_bytes(current_setting('memory_limit'))").fetchone()
        assert row is not None
        limit = f"{int(row[0]) // 1_000_000}MB"
        log.warning("the records take more memory than they have: the load goes on with %s", limit)
        duck.execute(f"SET memory_limit = '{limit}'")
    return work()
