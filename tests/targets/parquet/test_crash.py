"""`kill -9` at each named point of a load, in each mode: the retry leaves what a load leaves that was never killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from tests.targets.dying import Dying
from tests.targets.parquet import loader
from tests.targets.same_loads import AFTER, BEFORE, COLUMNS, DAY, LETTERS, LOADS, MODES

POINTS = list(loader.POINTS)

FIRST = [[n, "2026-01-01", "first", 1, "I"] for n in range(20, 24)]
TOMBSTONES = "SELECT key, version FROM sluicegate.tombstones WHERE target = %s ORDER BY 1"


@pytest.fixture(scope="module")
def dying() -> Iterator[Dying]:
    process = Dying("tests.targets.parquet.loader")
    yield process
    process.end()


class Night:
    """A table with two files, a load that is killed, and its retries; all of it under a name of its own."""

    def __init__(self, house: Any, dying: Dying, mode: str, number: int) -> None:
        self.house, self.dying, self.mode, self.table = house, dying, mode, f"t{number}"
        self.options = MODES[mode]
        keyed = {"key": "id", "newest_by": "at"} if "key" in self.options else {"mode": "append"}
        for name, rows in (("first.csv", FIRST), ("before.csv", BEFORE)):
            house.load(house.csv(name, list(COLUMNS), rows), self.table, columns=COLUMNS, **keyed)
        self.before = self.rows()
        self.source = house.csv("after.csv", list(COLUMNS), AFTER)

    @property
    def name(self) -> str:
        return str(self.house.target(self.table).name)

    def kill(self, point: str) -> None:
        ended = self.dying.load(
            point=point, source=str(self.source), uri=self.house.uri(self.table), conninfo=self.house.conninfo,
            columns=COLUMNS, options=self.options, run="killed", window=[moment.isoformat() for moment in DAY],
            endpoint_url=self.house.endpoint_url,
        )  # fmt: skip
        assert ended == signal.SIGKILL, f"{self.mode} was not killed when {point}"

    def again(self) -> Any:
        return self.house.load(
            self.source, self.table, columns=COLUMNS, **self.options, origin=Origin("p", "s", "again", 2, Window(*DAY))
        )

    def rows(self) -> list[tuple[Any, ...]]:
        return list(self.house.table(self.table, 'id, day, v, "at", op'))

    def outcome(self) -> tuple[Any, ...]:
        house = self.house
        return (self.rows(), *(house.rows(query, self.name) for query in (LOADS, LETTERS, TOMBSTONES)))


@pytest.mark.parametrize("mode", MODES)
def test_the_retry_of_a_load_that_was_killed_anywhere_is_right(house: Any, dying: Dying, mode: str) -> None:
    is_right_after_each_kill(house, dying, mode, POINTS)


def test_in_s3_too(house: Any, dying: Dying, s3: Any) -> None:
    house.to_s3(s3)
    is_right_after_each_kill(house, dying, "replace_window", POINTS[5:12])


def is_right_after_each_kill(house: Any, dying: Dying, mode: str, some: list[str]) -> None:
    reference = Night(house, dying, mode, 0)
    assert reference.again().status == "loaded"
    after = reference.rows()
    assert after != reference.before
    switched = {"merge": 1, "insert_only": 1, "replace_window": 2, "append": 1}[mode]
    points = [point for point in some if point != "what was replaced is deleted" or mode == "replace_window"]
    for number, point in enumerate(points, 1):
        night = Night(house, dying, mode, number)
        night.kill(point)
        if switched == 1 or point not in {"the first file is placed", "all files are placed"}:
            assert night.rows() in (night.before, after), f"a reader saw half when {point}"
        night.again()
        assert night.outcome() == reference.outcome(), point
        assert not [name for name in house.files(night.table) if name.startswith("_")], point
    assert night.again().status == "skipped"
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0


@pytest.mark.parametrize("point", ["the first file is placed", "all files are placed", "the intent is forgotten"])
def test_a_retry_that_is_killed_while_it_finishes_is_finished_by_the_next(house: Any, dying: Dying, point: str) -> None:
    reference = Night(house, dying, "replace_window", 0)
    reference.again()
    night = Night(house, dying, "replace_window", 1)
    night.kill("the ledger is committed")
    night.kill(point)
    assert night.again().status == "skipped"
    assert night.outcome() == reference.outcome()


def test_who_looks_at_the_ledger_first_finishes_what_a_killed_load_has_left(house: Any, dying: Dying) -> None:
    night = Night(house, dying, "merge", 0)
    night.kill("the ledger is committed")
    assert night.rows() == night.before
    with house.target(night.table).ledger() as ledger:
        assert ledger.find(night.name, str(night.source), "?", "?") is None
    assert night.rows() != night.before


def test_a_load_whose_staged_files_were_taken_away_is_made_again(house: Any, dying: Dying) -> None:
    reference, night = (Night(house, dying, "merge", number) for number in (0, 1))
    reference.again()
    night.kill("the ledger is committed")
    for path in Path(house.uri(night.table), "_staging").iterdir():
        path.unlink()
    assert night.again().status == "loaded"
    assert night.rows() == reference.rows()
    statuses = "SELECT status, fault, rejected, inserted FROM sluicegate.loads WHERE target = %s ORDER BY id"
    assert house.rows(statuses, night.name)[2:] == [("failed", "SOURCE_MISSING", 21, 0), ("loaded", None, 0, 5)]
