"""Client or server killed at named points of a load, in every mode: the retry leaves what an unharmed load would.

`EVERY_CRASH=1` kills the server at every point in every mode as well, which takes some minutes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.load.killing import POINTS

MODES: dict[str, dict[str, Any]] = {
    "merge": {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}},
    "insert_only": {"key": "id", "on_schema_change": "ignore"},
    "replace_window": {"window_by": "day", "on_schema_change": "ignore"},
    "append": {"on_schema_change": "ignore"},
}
ONLY = {
    "window deleted": {"replace_window"},
    "stage made": {"merge", "insert_only"},
    "merged": {"merge", "insert_only"},
}
IN_TRANSACTION = list(POINTS)[list(POINTS).index("locked") : -1]
EVERY = os.environ.get("EVERY_CRASH") == "1"
WINDOW = ["2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]
COLUMNS = {"id": {"type": "integer"}, "day": {"type": "date"}, "at": {"type": "integer"}, "v": {"required": True}}


def _is_sampled(point: int, mode: int, how: str) -> bool:
    return how == "client" or (point % 2 == 0 and point % 4 == mode)


CASES = [
    (point, mode, how)
    for number, point in enumerate(POINTS)
    for turn, mode in enumerate(MODES)
    for how in ("client", "server")
    if mode in ONLY.get(point, MODES) and (EVERY or _is_sampled(number, turn, how))
]


class Loaders:
    """Children of one process that has imported everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def load(self, **case: Any) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for one in self._ask(case):
            said |= one
        return said

    def load_at_once(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        *each, _ = self._ask(cases)
        return each

    def _ask(self, cases: object) -> Iterator[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(cases) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = {}
        while "killed" not in said:
            said = json.loads(self._process.stdout.readline())
            yield said


@pytest.fixture(scope="module")
def loaders() -> Iterator[Loaders]:
    script = Path(__file__).with_name("killing.py")
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Loaders(process)
        assert process.stdin is not None
        process.stdin.close()


def again(warehouse: Any, query: str) -> list[tuple[Any, ...]]:
    """The answer of a server that may be coming back."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return warehouse.rows(query)  # type: ignore[no-any-return]
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def state(warehouse: Any) -> dict[str, Any]:
    return {
        "rows": again(warehouse, "SELECT id, day, at, v FROM t ORDER BY 1, 2, 3, 4"),
        "letters": again(warehouse, "SELECT id, status, attempts, line FROM sluicegate.dead_letters ORDER BY 1"),
        "loads": again(
            warehouse,
            "SELECT status, read, inserted, updated, unchanged, stale, deduplicated, deleted, dead, rejected, removed"
            " FROM sluicegate.loads ORDER BY id",
        ),
    }


def test_a_load_killed_anywhere_is_made_good_by_its_retry(warehouse: Any, loaders: Loaders) -> None:
    reference: dict[str, Any] = {}
    day = "2026-01-02"
    first = [[1, day, 1, "a", "I"], [2, day, 5, "b", "I"], [3, "2026-01-01", 1, "c", "I"], [8, day, 1, "h", "I"]]
    rows = [
        [1, day, 2, "A", "I"], [1, day, 1, "old", "I"], [2, day, 4, "B", "I"], [4, day, 1, "d", "I"],
        [5, day, 1, "", "I"], ["x", day, 1, "e", "I"], [8, day, 2, "h", "D"],
        *([n, day, 1, "n", "I"] for n in range(9, 99)),
    ]  # fmt: skip
    header = ["id", "day", "at", "v", "op"]
    source = warehouse.csv("1.csv", header, rows)

    def prepare(mode: str) -> dict[str, Any]:
        again(warehouse, "DROP TABLE IF EXISTS t")
        again(warehouse, "DROP SCHEMA IF EXISTS sluicegate CASCADE")
        again(warehouse, "CREATE TABLE t (id int, day date, at int, v text)")
        if "key" in MODES[mode]:
            again(warehouse, "ALTER TABLE t ADD PRIMARY KEY (id)")
        values = ", ".join(f"({row[0]}, '{row[1]}', {row[2]}, '{row[3]}')" for row in first)
        again(warehouse, f"INSERT INTO t VALUES {values}")
        words = {"mode": mode, "columns": COLUMNS, "dead_letters": {"max": "100%"}, **MODES[mode]}
        return {"conninfo": warehouse.conninfo, "source": str(source), "window": WINDOW, "words": words}

    for mode in MODES:
        assert loaders.load(point=None, how="client", **prepare(mode))["status"] == "loaded"
        reference[mode] = state(warehouse)
    for point, mode, how in CASES:
        case = prepare(mode)
        said = loaders.load(point=point, how=how, **case)
        assert said["killed"] == (how == "client"), (point, mode, how, said)
        assert how == "client" or point not in IN_TRANSACTION or "error" in said, (point, mode, how, said)
        again(warehouse, "SELECT 1")
        retried = loaders.load(point=None, how=how, **case)
        assert retried.get("status") in {"loaded", "skipped"}, (point, mode, how, retried)
        assert state(warehouse) == reference[mode], (point, mode, how)


@pytest.mark.parametrize("newest_by", ["at", None])
def test_eight_loaders_at_once_on_the_same_keys_leave_each_key_once_and_at_its_newest(
    warehouse: Any, loaders: Loaders, newest_by: str | None
) -> None:
    chance = random.Random(9)
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, day date, at int, v text)")
    newest: dict[int, int] = {}
    for turn in range(50 if EVERY else 3):
        cases = []
        for loader in range(8):
            keys = chance.sample(range(400), 250)
            versions = {key: turn * 100 + chance.randrange(100) for key in keys}
            rows = [[key, "2026-01-02", version, f"v{version}"] for key, version in versions.items()]
            source = warehouse.csv(f"{turn}-{loader}.csv", ["id", "day", "at", "v"], rows)
            words = {"key": "id", "newest_by": newest_by, "columns": COLUMNS}
            cases.append(
                {"point": None, "conninfo": warehouse.conninfo, "source": str(source), "window": WINDOW, "words": words}
            )
            for key, version in versions.items():
                newest[key] = max(version, newest.get(key, 0))
        said = loaders.load_at_once(cases)
        assert [one.get("status") for one in said] == ["loaded"] * 8, said
        found = dict(warehouse.rows("SELECT id, at FROM t"))
        assert found.keys() == newest.keys()
        if newest_by is not None:
            assert found == newest
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 8 * (50 if EVERY else 3)
