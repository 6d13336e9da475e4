"""How many calls carrying out a plan takes, by the formula of docs/architecture.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey
from sluicegate.recovery.journal import Journal
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.site import Seen
from tests.recovery.simulation import MemoryStore
from tests.recovery.test_read import many


@dataclass
class Quick:
    """A site in which everything that is reset succeeds at once, and a clock that only sleeping sets forward."""

    seen: dict[InstanceKey, Seen]
    calls: Counter[str] = field(default_factory=Counter)
    texts: dict[str, str] = field(default_factory=dict)
    passed: float = 0.0

    @classmethod
    def of(cls, plan: Plan) -> Quick:
        return cls({each.key: Seen(each.key, each.id, each.state, each.tries) for each in plan.instances})

    def version(self) -> str:
        return "3.3.2"

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        self.calls["read"] += 1
        return {key: each for key, each in self.seen.items() if key.of in runs}

    def resting(self, dags: Collection[str]) -> Collection[str]:
        self.calls["paused"] += 1
        return []

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        self.calls["look"] += 1
        return []

    def clear(
        self,
        run: RunKey,
        tasks: Collection[tuple[str, int]],
        note: str,
        *,
        even_running: bool = False,
        latest: bool = False,
    ) -> Collection[tuple[str, int]]:
        self.calls["clear"] += 1
        for task, index in tasks:
            key = InstanceKey(run.dag, run.run, task, index)
            self.seen[key] = Seen(key, self.seen[key].id + "'", "success", 2, note)
        return tasks

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        raise AssertionError("nothing is marked here")

    def requeue(self, run: RunKey) -> None:
        raise AssertionError("nothing is forgotten here")

    def force(self, key: InstanceKey, plan: str) -> None:
        raise AssertionError("nothing is forced here")

    def drop_queued_event(self, dag: str, asset_id: int) -> None:
        raise AssertionError("there are no assets here")

    def create_marker(self, name: str, value: str) -> None:
        self.calls["marker"] += 1
        self.texts[name] = value

    def markers(self) -> Mapping[str, str]:
        self.calls["marker"] += 1
        return dict(self.texts)

    def marker(self, name: str) -> str | None:
        self.calls["marker"] += 1
        return self.texts.get(name)

    def write_marker(self, name: str, value: str) -> None:
        self.calls["marker"] += 1
        self.texts[name] = value

    def delete_marker(self, name: str) -> None:
        self.calls["marker"] += 1
        self.texts.pop(name, None)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.passed, UTC)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


def carried_out(plan: Plan, site: Quick, **options: int) -> Outcome:
    asked = Options(who="anna", reason="it came", **options)  # type: ignore[arg-type]
    return carry_out(plan, site, Journal(MemoryStore(), plan.id, site.now()), asked, clock=site)


@pytest.mark.parametrize(("pipelines", "days", "chunk"), [(20, 1, 50), (150, 1, 50), (150, 1, 20), (30, 4, 7)])
def test_the_number_of_calls_is_that_of_the_docs(pipelines: int, days: int, chunk: int) -> None:
    """A clear a run; a read of ids for each chunk of a wave; a look and a read for what was under way meanwhile."""
    plan = many(pipelines, days).plan()
    site = Quick.of(plan)
    assert carried_out(plan, site, parallel=10_000, chunk=chunk).is_good
    chunks = sum(math.ceil(len({plan.instances[place].of for place in wave}) / chunk) for wave in plan.waves)
    assert site.calls["clear"] == pipelines * days
    assert chunks <= site.calls["read"] <= chunks + len(plan.waves)
    assert site.calls["look"] == site.calls["paused"] == len(plan.waves)
    assert site.calls["marker"] <= 10
