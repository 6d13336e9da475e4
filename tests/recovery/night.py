"""A night: DAGs that have failed in a certain way, what mends them, and what has really run since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluicegate.local.stack import Stack
from sluicegate.testing.airflow import RunningAirflow, wait_until

__all__ = ["Airflow", "Edge", "Key", "Night", "Ran", "States", "deliver", "key_of"]

States = Mapping[str, Mapping[str, str]]
"""By DAG and task, the state of all its instances, or how many have which: `failed 3, none 1`."""

_NO_WORK = frozenset({"upstream_failed", "removed", "skipped"})
# What an earlier try has left is in the history; a state without work overwrites the last one's row.
_TRIES = """
SELECT dag_id, run_id, task_id, map_index, try_number, state, start_date, end_date
FROM {} WHERE dag_id = ANY(%s) AND try_number > 0 AND start_date IS NOT NULL
"""
_PATIENCE = 400.0


class Key(NamedTuple):
    dag: str
    run: str
    task: str
    map_index: int = -1


class Ran(NamedTuple):
    """One try that did work, however it ended."""

    key: Key
    try_number: int
    state: str
    start: datetime
    end: datetime | None


Edge = tuple[Key, Key]
"""Two tasks in runs: all instances of the first end before any of the second starts."""


@dataclass(frozen=True)
class Airflow(RunningAirflow):
    """The Airflow of all nights, with its stack and the folder that says what fails."""

    stack: Stack
    folder: Path

    def tries(self, dags: Iterable[str]) -> list[Ran]:
        """Every try of these DAGs that did work, oldest first, from the metadata database."""
        found: dict[tuple[Key, int], Ran] = {}
        with self.metadata() as connection:
            for table in ("task_instance", "task_instance_history"):
                for *key, number, state, start, end in connection.execute(_TRIES.format(table), [list(dags)]):
                    if state not in _NO_WORK:
                        found[Key(*key), number] = Ran(Key(*key), number, state or "none", start, end)
        return sorted(found.values(), key=lambda ran: ran.start)

    def metadata(self) -> psycopg.Connection:
        """Airflow's own database."""
        dsn = self.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        return psycopg.connect(dsn.replace("postgresql+psycopg", "postgresql"))

    def deliver(self, name: str) -> None:
        """Create a file with one record."""
        deliver(self.folder / name)

    def run_states(self, dags: Iterable[str]) -> dict[tuple[str, str], str]:
        """By DAG and id, the state of each run of these DAGs."""
        body = {"dag_ids": list(dags), "page_limit": 1000}
        found = self.api.post("/dags/~/dagRuns/list", json=body).raise_for_status().json()["dag_runs"]
        return {(run["dag_id"], run["dag_run_id"]): run["state"] for run in found}

    def of_dags(self, dags: Iterable[str]) -> list[dict[str, Any]]:
        """All task instances of these DAGs."""
        body = {"dag_ids": list(dags), "page_limit": 1000}
        answer = self.api.post("/dags/~/dagRuns/~/taskInstances/list", json=body).raise_for_status().json()
        found: list[dict[str, Any]] = answer["task_instances"]
        return found


@dataclass
class Night:
    """Some DAGs and how they fail.

    `dags` and their `planned` states, once nothing goes on by itself. `flags` are the files whose deletion mends it,
    `missing` those whose creation does. `later` are flags that stay until `mend_later`, and `given` files that are
    there. `links` are the edges between tasks (`dag.task`) in the runs at one logical date, `chained` the tasks that
    come after themselves in the run before.
    """

    name: str
    planned: States
    flags: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    chained: tuple[str, ...] = ()
    airflow: Airflow = field(init=False, repr=False)
    before: Counter[Key] = field(init=False, repr=False)
    """How many tries of each instance had done work when the night had failed."""

    @property
    def dags(self) -> tuple[str, ...]:
        return tuple(self.planned)

    def states(self) -> States:
        found: dict[str, dict[str, Counter[str]]] = {dag: {} for dag in self.dags}
        for each in self.airflow.of_dags(self.dags):
            found[each["dag_id"]].setdefault(each["task_id"], Counter())[each["state"] or "none"] += 1
        return {dag: {task: _shown(states) for task, states in tasks.items()} for dag, tasks in found.items()}

    def wait_until_failed(self) -> None:
        """Until every task is in its planned state; what has run by then is what `ran_once_more` starts from.

        :raises TimeoutError: with the states that differ
        """
        try:
            wait_until(lambda: self.states() == self.planned, _PATIENCE, f"{self.name} to fail as planned")
        except TimeoutError as late:
            seen = self.states()
            wrong = {dag: seen[dag] for dag in self.dags if seen[dag] != self.planned[dag]}
            raise TimeoutError(f"{late}; instead: {wrong}") from None
        self.before = Counter(ran.key for ran in self.airflow.tries(self.dags))

    def mend(self) -> None:
        """Take away the cause; nothing runs by that."""
        for flag in self.flags:
            (self.airflow.folder / "flags" / flag).unlink()
        for name in self.missing:
            self.airflow.deliver(name)

    def mend_later(self) -> None:
        """Take away what would let it fail again."""
        for flag in self.later:
            (self.airflow.folder / "flags" / flag).unlink()

    def really_ran(self) -> list[Ran]:
        """The tries that have done work since the night had failed, in the order in which they started."""
        seen: Counter[Key] = Counter()
        since = []
        for ran in sorted(self.airflow.tries(self.dags), key=lambda each: each.try_number):
            seen[ran.key] += 1
            if seen[ran.key] > self.before[ran.key]:
                since.append(ran)
        return sorted(since, key=lambda each: each.start)

    def keys(self, chosen: Callable[[Mapping[str, Any]], bool]) -> set[Key]:
        """The instances that are chosen, by what the API says of them."""
        return {key_of(each) for each in self.airflow.of_dags(self.dags) if chosen(each)}

    def edges(self) -> list[Edge]:
        """All edges between the instances that there are."""
        at: dict[tuple[str, str | None], list[Key]] = {}
        for each in self.airflow.of_dags(self.dags):
            at.setdefault((f"{each['dag_id']}.{each['task_id']}", each["logical_date"]), []).append(key_of(each))
        found = [
            (one, other)
            for before, after in self.links
            for (task, date), first in at.items()
            if task == before
            for one in first
            for other in at.get((after, date), [])
        ]
        for task in self.chained:
            days = sorted((date or "", keys) for (name, date), keys in at.items() if name == task)
            for (_, first), (_, second) in pairwise(days):
                found += [(one, other) for one in first for other in second]
        return found

    def obeys(self, edges: Iterable[Edge] | None = None) -> None:
        """Assert that no task has started, since the night had failed, before what comes before it had ended."""
        ran: dict[Key, list[Ran]] = {}
        for each in self.really_ran():
            ran.setdefault(each.key, []).append(each)
        wrong = [
            f"{after} started at {second.start}, {before} ended at {first.end}"
            for before, after in (self.edges() if edges is None else edges)
            for first in ran.get(before, [])
            for second in ran.get(after, [])
            if first.end is None or second.start < first.end
        ]
        assert not wrong, "\n".join(wrong)

    def ran_once_more(self, keys: Iterable[Key]) -> None:
        """Assert that each of these has run once since the night had failed, and nothing else has."""
        assert Counter(ran.key for ran in self.really_ran()) == Counter(set(keys))


def deliver(path: Path) -> None:
    """Create a file with one record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id\n1\n")


def _shown(states: Counter[str]) -> str:
    if len(states) == 1:
        return next(iter(states))
    return ", ".join(f"{state} {count}" for state, count in sorted(states.items()))


def key_of(instance: Mapping[str, Any]) -> Key:
    return Key(instance["dag_id"], instance["dag_run_id"], instance["task_id"], instance["map_index"])
