"""Replays of any letters, in any order, any number of times, end in the table that the mended source would have given.

A plain model in Python says what that table is: it loads the same files with the records that were replayed mended.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.ledger.letters import Selection
from sluicegate.load.replay.mend import Fixed

# A record: its key, its value (a bad one ends in `!`), its version. A malformed one lacks a field.
VALUES = st.sampled_from(["a", "b", "c!", "d!", "e!"])
RECORDS = st.tuples(st.integers(1, 4), VALUES, st.booleans())
FILES = st.lists(st.lists(RECORDS, min_size=1, max_size=6), min_size=1, max_size=3)
COLUMNS = {"id": "integer", "v": {"type": "text", "matches": "^[^!]*$"}, "at": "integer"}


def mend(record: Any) -> Any:
    return {**record, "v": record["v"].rstrip("!")}


def rows_of(files: Any, versions: Any) -> list[list[tuple[int, str, int]]]:
    """The files with a version of its own for each record, in any order."""
    numbers = iter(versions)
    return [[(key, value, next(numbers)) for key, value, _ in records] for records in files]


def expected(files: Any, good: set[tuple[int, int]], newest_by: bool, keyed: bool) -> list[tuple[Any, ...]]:
    """What loading the files leaves, with those bad records mended that are in `good` by file and line."""
    if not keyed:
        return sorted(
            (key, value.rstrip("!"), at)
            for number, records in enumerate(files)
            for line, (key, value, at) in enumerate(records, 2)
            if not value.endswith("!") or (number, line) in good
        )
    table: dict[int, tuple[int, str, int]] = {}
    for number, records in enumerate(files):
        for line, (key, value, at) in enumerate(records, 2):
            if value.endswith("!") and (number, line) not in good:
                continue
            if not newest_by or key not in table or at >= table[key][2]:
                table[key] = (key, value.rstrip("!"), at)
    return sorted(table.values())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=FILES, newest_by=st.booleans(), keyed=st.booleans(), seed=st.randoms(use_true_random=False),
    rounds=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), max_size=4), whole=st.booleans(),
)  # fmt: skip
def test_any_replays_end_in_the_table_of_the_mended_source(
    warehouse: Any, files: Any, newest_by: bool, keyed: bool, seed: Any, rounds: Any, whole: bool
) -> None:
    warehouse.rows("DROP TABLE IF EXISTS t")
    warehouse.rows("DROP SCHEMA IF EXISTS sluicegate CASCADE")
    count = sum(map(len, files))
    written = rows_of(files, seed.sample(range(100), count))
    words: dict[str, Any] = {"columns": COLUMNS}
    if keyed:
        words |= {"key": "id", "newest_by": "at" if newest_by else None}
    for number, records in enumerate(written):
        report = warehouse.load(warehouse.csv(f"{number}.csv", list(COLUMNS), records), **words)
        assert report.counts.dead == sum(value.endswith("!") for _, value, _ in records)
    letters = warehouse.rows("SELECT id, source, line FROM sluicegate.dead_letters ORDER BY position")
    good: set[tuple[int, int]] = set()
    wanted = [[letters[pick % len(letters)] for pick in picks] for picks in rounds] if letters else []
    for some in [*wanted, *([letters] if whole else [])]:
        selection = Selection(ids=tuple(one[0] for one in some) or ("none",))
        warehouse.replay(selection=selection, mending=Fixed(mend, "mend"), **words)
        # Which of the picked ones were closed before, because a later record had taken their place, does not matter.
        good |= {(int(source.rpartition("/")[2].partition(".")[0]), line) for _, source, line in some}
        table = sorted(warehouse.rows("SELECT id, v, at FROM t"))
        assert table == expected(written, good, newest_by, keyed)
    balanced = (
        "SELECT bool_and(read = inserted + updated + unchanged + stale + deduplicated + deleted + dead + rejected)"
    )
    assert warehouse.one(f"{balanced} FROM sluicegate.loads")
    if whole:
        assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE status = 'open'") == 0
