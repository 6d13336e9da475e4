"""Recovers a night as a person would: a plan, the cause mended, the plan applied; and what is to be true afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluicegate.api.client import Client
from sluicegate.recovery import planning
from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import Action, Plan, PlannedInstance
from sluicegate.recovery.evaluate import sign
from sluicegate.recovery.journal import FileStore, Journal, journal_of
from sluicegate.recovery.plan_file import read_plan, write_plan
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.request import Request
from sluicegate.recovery.site_rest import RestSite
from sluicegate.testing.airflow import wait_until
from tests.recovery.night import Edge, Key, Night

__all__ = ["Applied", "Recovery", "edges_of", "key_of", "keys_of", "options", "waves_of"]


def options(**other: Any) -> Options:
    return Options(**{"who": "ada", "reason": "the cause is gone", "poll": 0.3, "longest_poll": 1, "look": 5} | other)


@dataclass(frozen=True)
class Applied:
    """What came of a plan that went well, or not."""

    is_good: bool
    done: frozenset[Key]

    @classmethod
    def of(cls, outcome: Outcome) -> Applied:
        return cls(outcome.is_good, frozenset(Key(each.dag, each.run, each.task, each.index) for each in outcome.done))


@dataclass
class Recovery:
    """One plan for a night, in a folder of its own."""

    night: Night
    folder: Path
    request: Request
    plan: Plan = field(init=False)

    @classmethod
    def of(cls, night: Night, folder: Path, **asked: Any) -> Recovery:
        """Planned, of what failed in the night's own DAGs or of what is asked."""
        found = cls(night, folder, Request(**{"pipelines": () if "source" in asked else night.dags} | asked))
        found.plan = found.planned()
        write_plan(found.plan, found.file)
        return found

    @classmethod
    def by_command(cls, night: Night, folder: Path) -> Recovery:
        """As `of`, planned by `sluicegate recover plan`."""
        found = cls(night, folder, Request(pipelines=night.dags))
        names = [word for dag in night.dags for word in ("--pipeline", dag)]
        sluicegate(night, "recover", "plan", *names, "-o", str(found.file))
        found.plan = read_plan(found.file)
        return found

    @property
    def file(self) -> Path:
        return self.folder / "plan.json"

    @contextmanager
    def client(self) -> Iterator[Client]:
        with self.night.airflow.stack.api() as client:
            yield client

    def planned(self) -> Plan:
        """What a plan would be now."""
        with self.client() as client:
            return planning.plan(client, self.request, by="ada")

    def apply(self, site: type[RestSite] = RestSite, **other: Any) -> Outcome:
        """Carry out what is left of the plan."""
        store = FileStore(journal_of(self.file))
        try:
            with self.client() as client:
                journal = Journal(store, self.plan.id, datetime.now(UTC))
                return carry_out(self.plan, site(client, self.plan.runs), journal, options(**other))
        finally:
            store.close()

    def apply_by_command(self) -> Applied:
        """As `apply`, by `sluicegate recover apply`, which has to end with 0."""
        words = ("recover", "apply", str(self.file), "--yes", self.plan.id, "--reason", "the cause is gone", "--json")
        found = json.loads(sluicegate(self.night, *words))
        done = {Key(each["dag"], each["run"], each["task"], each["index"]) for each in found["done"]}
        return Applied(found["good"], frozenset(done))

    def wait_until_all_is_well(self) -> None:
        """Until every run of the night's DAGs is `success`; a plan does not wait for what it has not reset."""

        def is_well() -> bool:
            return set(self.night.airflow.run_states(self.night.dags).values()) == {"success"}

        wait_until(is_well, 180, f"all runs of {self.night.name} to be well")

    def has_notes(self) -> None:
        """Assert that the plan's note is on all that it has reset or marked, and on nothing else."""
        noted = self.night.keys(lambda each: str(each["note"]).startswith(sign(self.plan.id)))
        assert noted == {key_of(each) for each in self.plan.instances}


def sluicegate(night: Night, *words: str) -> str:
    """What a command prints, which has to end with 0."""
    state = ("--state", str(night.airflow.folder / "state"))
    done = subprocess.run(
        [Path(sys.executable).with_name("sluicegate"), *words, *state],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def key_of(instance: PlannedInstance) -> Key:
    return Key(instance.dag, instance.run, instance.task, instance.index)


def keys_of(plan: Plan, *actions: Action) -> set[Key]:
    """The instances of a plan, of all actions or of some."""
    return {key_of(each) for each in plan.instances if not actions or each.action in actions}


def waves_of(plan: Plan) -> list[Mapping[str, int]]:
    """By wave, how many instances of which task."""
    return [
        Counter(f"{plan.instances[place].dag}.{plan.instances[place].task}" for place in wave) for wave in plan.waves
    ]


def edges_of(plan: Plan) -> list[Edge]:
    """A plan's edges between all instances of their tasks."""
    members: dict[tuple[str, str, str], list[Key]] = {}
    for each in plan.instances:
        members.setdefault((each.dag, each.run, each.task), []).append(key_of(each))

    def all_of(place: int) -> Collection[Key]:
        each = plan.instances[place]
        return members[each.dag, each.run, each.task]

    return [(before, after) for edge in plan.edges for before in all_of(edge.before) for after in all_of(edge.after)]
