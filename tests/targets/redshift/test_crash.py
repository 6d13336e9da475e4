"""`kill -9` at each named point of a load, in each mode: the retry leaves what a load leaves that was never killed."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sluicegate.faults import fault
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.targets.redshift import marks
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.journal import again
from tests.targets.dying import Dying
from tests.targets.redshift import loader
from tests.targets.same_loads import AFTER, BEFORE, COLUMNS, DAY, LETTERS, LOADS, MODES

COMMITS = ["the ledger is committed", "Redshift is committed"]


@pytest.fixture(scope="module")
def dying() -> Iterator[Dying]:
    process = Dying("tests.targets.redshift.loader")
    yield process
    process.end()


class Night:
    """A table, a load that is killed, and its retries; all of it under a name of its own."""

    def __init__(self, house: Any, dying: Dying, mode: str, number: int) -> None:
        self.house, self.dying, self.table, self.options = house, dying, f"{mode}{number}", MODES[mode]
        keyed = {"key": "id", "newest_by": "at"} if "key" in self.options else {"mode": "append"}
        house.load(house.csv("before.csv", list(COLUMNS), BEFORE), self.table, columns=COLUMNS, **keyed)
        self.before = self.rows()
        self.source = house.csv("after.csv", list(COLUMNS), AFTER)
        self.name = house.target(self.table).name

    def words(self, point: str | None, **more: Any) -> dict[str, Any]:
        return {
            "point": point, "source": str(self.source), "table": self.table, "conninfo": self.house.conninfo,
            "columns": COLUMNS, "options": self.options, "run": "killed", "endpoint_url": self.house.s3.endpoint_url,
            "window": [moment.isoformat() for moment in DAY], **more,
        }  # fmt: skip

    def kill(self, point: str) -> None:
        assert self.dying.load(**self.words(point)) == signal.SIGKILL, f"{self.table} was not killed when {point}"

    def again(self) -> Any:
        origin = Origin("p", "s", "again", 2, Window(*DAY))
        return self.house.load(self.source, self.table, columns=COLUMNS, **self.options, origin=origin)

    def rows(self) -> list[tuple[Any, ...]]:
        return list(self.house.rows(f"SELECT * FROM {self.table} ORDER BY 1, 2, 3, 4, 5"))

    def outcome(self) -> tuple[Any, ...]:
        deleted = self.house.target(self.table)._place.deleted
        kept = self.house.one(f"SELECT to_regclass('sluicegate.{deleted}')")
        tombstones = self.house.rows(f"SELECT * FROM sluicegate.{deleted} ORDER BY 1") if kept else []
        return (self.rows(), tombstones, *(self.house.rows(query, self.name) for query in (LOADS, LETTERS)))


@pytest.mark.parametrize("mode", MODES)
def test_the_retry_of_a_load_that_was_killed_anywhere_is_right(house: Any, dying: Dying, mode: str) -> None:
    reference = Night(house, dying, mode, 0)
    assert reference.again().status == "loaded"
    assert reference.rows() != reference.before
    for number, point in enumerate(loader.POINTS if mode == "merge" else COMMITS, 1):
        night = Night(house, dying, mode, number)
        night.kill(point)
        assert night.rows() in (night.before, reference.rows()), point
        night.again()
        assert night.outcome() == reference.outcome(), point
    assert night.again().status == "skipped"
    assert house.s3.uris("s3://stage/") == []
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0


def test_a_retry_that_is_killed_while_it_finishes_is_finished_by_the_next(house: Any, dying: Dying) -> None:
    reference, night = (Night(house, dying, "merge", number) for number in (0, 1))
    reference.again()
    for point in ("the ledger is committed", "the ledger is committed", "Redshift is committed"):
        night.kill(point)
    assert night.again().status == "skipped"
    assert night.outcome() == reference.outcome()


@pytest.mark.parametrize("harm", ["somebody wrote", "the files are gone"])
def test_a_load_that_cannot_be_finished_any_more_is_made_again(house: Any, dying: Dying, harm: str) -> None:
    reference, night = (Night(house, dying, "insert_only", number) for number in (0, 1))
    reference.again()
    night.kill("the ledger is committed")
    if harm == "somebody wrote":
        house.rows(f"INSERT INTO {night.table} VALUES (77, '2026-01-01', 'them', 1, 'I')")
    else:
        house.s3.client().delete_objects(
            Bucket="stage", Delete={"Objects": [{"Key": uri[11:]} for uri in house.s3.uris("s3://stage/")]}
        )
    assert night.again().status == "loaded"
    assert [row for row in night.rows() if row[0] != 77] == reference.rows()
    statuses = house.rows("SELECT status, fault FROM sluicegate.loads WHERE target = %s ORDER BY id", night.name)
    assert statuses == [("loaded", None), ("failed", "WAREHOUSE_BUSY"), ("loaded", None)]


def test_loaders_at_once_leave_each_key_once_and_at_its_newest(house: Any, dying: Dying) -> None:
    night, chance = Night(house, dying, "merge", 0), random.Random(9)
    requests, newest = [], {row[0]: row[3] for row in night.before}
    for number in range(4):
        rows = [[n, "2026-01-01", f"l{number}", chance.randint(3, 99), "I"] for n in chance.sample(range(30), 20)]
        for row in rows:
            newest[row[0]] = max(newest.get(row[0], 0), row[3])
        source = house.csv(f"{number}.csv", list(COLUMNS), rows)
        requests.append(night.words(None, source=str(source), run=f"r{number}"))
    assert dying.at_once(requests) == [0] * 4
    assert {row[0]: row[3] for row in night.rows()} == newest
    assert len(night.rows()) == len(newest)
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0


def test_a_commit_whose_answer_is_lost_is_asked_for(house: Any, dying: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, night = (Night(house, dying, "append", number) for number in (0, 1))
    reference.again()
    whole, calls = RedshiftConnection.commit, iter((True, False))

    def lost(self: RedshiftConnection) -> None:
        whole(self)
        if next(calls, False):
            raise fault("WAREHOUSE_UNREACHABLE", "the connection broke")

    monkeypatch.setattr(RedshiftConnection, "commit", lost)
    assert night.again().status == "loaded"
    assert night.outcome() == reference.outcome()


def test_a_transaction_that_still_lives_is_waited_for_before_its_load_is_finished(house: Any, dying: Dying) -> None:
    """A process that was frozen between the two commits, and lost the lock in the ledger."""
    night = Night(house, dying, "append", 0)
    night.kill("the ledger is committed")
    target = night.house.target(night.table)
    with house.cluster.connect("frozen") as frozen:
        marks.begin(frozen, target._place)
        with psycopg.connect(house.conninfo) as ledger:
            [intent] = PostgresIntents(ledger).pending(night.name)
        assert again(frozen, intent.switch["journal"])
        retry = threading.Thread(target=night.again)
        retry.start()
        retry.join(1)
        assert retry.is_alive()
        frozen.commit()
        retry.join(180)
    assert len(night.rows()) == len(BEFORE) + 21
