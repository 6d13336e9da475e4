"""Ranges of the key that are sorted one after the other: a sort of all records would hold each of them twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.load.staged import Staged

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ranges_of"]

_AT_ONCE = 48_000_000
"""Bytes of records that one sort takes."""
_ON_DISK = 2
"""Ranges of records that do not fit into memory: each one reads all of them from disk once more."""
_FEW = 100_000
"""Values of all records together that are sorted at once without a look at what they take."""
_SAMPLES = 2_000
"""Records by whose keys the ranges are chosen."""


def ranges_of(cursor: DuckDBPyConnection, staged: Staged) -> list[str]:
    """Conditions for the records of `staged s`, each of which meets one: in the order in which they are written, all
    that meet one come before those that meet the next.

    The conditions hold on this `cursor` alone, which knows the keys between two ranges.
    """
    wanted = 1
    if staged.rows * len(staged.columns) > _FEW:
        held, spilled = _bytes(cursor)
        wanted = _ON_DISK if spilled else -(-held // _AT_ONCE)
    if wanted < 2:
        return ["true"]
    places = staged.ordered()
    ends = _ends(cursor, staged, places, wanted)
    return [*(_between(places, low, high) for low, high in zip([None, *ends], [*ends, None], strict=True))]


def _bytes(cursor: DuckDBPyConnection) -> tuple[int, int]:
    """What tables take in memory, and what is on disk for lack of it."""
    [row] = cursor.execute(
        "SELECT sum(memory_usage_bytes) FILTER (tag = 'IN_MEMORY_TABLE'), sum(temporary_storage_bytes) "
        "FROM duckdb_memory()"
    ).fetchall()
    return int(row[0]), int(row[1])


def _ends(cursor: DuckDBPyConnection, staged: Staged, places: list[str], wanted: int) -> list[str]:
    """SQL of the keys before which a range ends."""
    keys = ", ".join(f"k{number} := {place}" for number, place in enumerate(places))
    known = " AND ".join(f"{place} IS NOT NULL" for place in places)
    some = f"s.rowid % {max(1, staged.rows // _SAMPLES)} = 0"
    # A variable keeps a value as it is, and a condition with one is planned as with a constant.
    cursor.execute(
        f"SET VARIABLE ends = (SELECT list(struct_pack({keys}) ORDER BY {', '.join(places)}) FROM staged s "
        f"WHERE {some} AND {known} AND {staged.kept()})"
    )
    [(count,)] = cursor.execute("SELECT coalesce(len(getvariable('ends')), 0)").fetchall()
    chosen = sorted({count * number // wanted for number in range(1, wanted)} - {0})
    return [f"getvariable('ends')[{number + 1}]" for number in chosen]


def _between(places: list[str], low: str | None, high: str | None) -> str:
    """From one key to before another; no key is behind all of them."""
    if len(places) == 1:
        (place,) = places
        parts = [] if low is None else [f"{place} >= {low}.k0" if high else f"({place} >= {low}.k0 OR {place} IS NULL)"]
        parts += [] if high is None else [f"{place} < {high}.k0"]
    else:
        parts = [] if low is None else [f"NOT {_before(places, low)}"]
        parts += [] if high is None else [_before(places, high)]
    return " AND ".join(parts) or "true"


def _before(places: list[str], end: str) -> str:
    """Whether a key comes before `end`, by one column after the other."""
    condition = "false"
    for number, place in reversed(list(enumerate(places))):
        value = f"{end}.k{number}"
        condition = f"({place} < {value} OR ({place} = {value} AND {condition}))"
    return f"coalesce({condition}, false)"
