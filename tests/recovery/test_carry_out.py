"""A plan carried out, against an Airflow of a few lines that ends each run in the moment in which it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey
from sluicegate.recovery.errors import PlanInUse
from sluicegate.recovery.journal import FileStore, Journal, store_of
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.rehearse import rehearse
from sluicegate.recovery.site import Seen
from tests.recovery.made_up import MadeUp

OPTIONS = Options("ada", "mended", marked=False, settle=0, poll=0, longest_poll=0)
Work = Callable[[Seen], list[Seen]]


def succeed(seen: Seen) -> list[Seen]:
    return [replace(seen, state="success")]


@dataclass
class QuickSite:
    """`work` says what becomes of an instance that was reset."""

    seen: dict[InstanceKey, Seen]
    work: Work = succeed
    cleared: list[InstanceKey] = field(default_factory=list)
    pauses: set[str] = field(default_factory=set)
    looks: int = 0

    @classmethod
    def of(cls, made: MadeUp, work: Work = succeed) -> QuickSite:
        return cls({key: Seen(key, each.id, each.state, each.tries) for key, each in made.instances.items()}, work)

    def version(self) -> str:
        return "3.3.2"

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        return {key: each for key, each in self.seen.items() if key.of in runs}

    def resting(self, dags: Collection[str]) -> Collection[str]:
        return self.pauses & set(dags)

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        self.looks += 1
        assert self.looks < 100, "it waits for ever"
        return [run for run in runs if run.dag in self.pauses]

    def clear(
        self, run: RunKey, tasks: Collection[tuple[str, int]], note: str, **_: bool
    ) -> Collection[tuple[str, int]]:
        for task, index in tasks:
            key = InstanceKey(run.dag, run.run, task, index)
            self.cleared.append(key)
            was = self.seen.pop(key)
            reset = replace(was, id=f"{was.id}+", note=note, state=None)
            after = [reset] if run.dag in self.pauses else self.work(reset)
            self.seen |= {each.key: each for each in after}
        return tasks

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} is not asked for here")


def done(plan: Plan, site: QuickSite, tmp_path: Path, options: Options = OPTIONS) -> Outcome:
    store = FileStore(tmp_path / "journal")
    try:
        journal = Journal(store, plan.id, datetime(2026, 1, 10, tzinfo=UTC))
        return carry_out(plan, site, journal, options)  # type: ignore[arg-type]
    finally:
        store.close()


@pytest.mark.parametrize(("states", "is_good"), [(["success"] * 3, True), (["success", "failed", "success"], False)])
def test_a_task_that_is_mapped_only_now_is_what_it_is_expanded_to(
    states: list[str], is_good: bool, tmp_path: Path
) -> None:
    """`list` failed, so `load` was never expanded: Airflow makes its first instance of the only one it had."""
    made = MadeUp()
    run = made.run("files", list="failed", load="upstream_failed")
    made.chain("files", "list", "load")
    reader = made.run("reader", wait="failed UpstreamSensor")
    made.waits(reader, "wait", run.dag, "load")

    def expand(seen: Seen) -> list[Seen]:
        if seen.key.task != "load":
            return succeed(seen)
        keys = [replace(seen.key, index=index) for index in range(len(states))]
        return [
            replace(seen, key=key, state=state, id=seen.id if key.index == 0 else f"new{key.index}",
                    note=seen.note if key.index == 0 else "")
            for key, state in zip(keys, states, strict=True)
        ]  # fmt: skip

    site = QuickSite.of(made, expand)
    outcome = done(made.plan(), site, tmp_path, replace(OPTIONS, keep_going=True))
    assert outcome.is_good is is_good
    assert ([each.key.task for each in outcome.failed] == ["load"]) is not is_good
    assert (InstanceKey("reader", reader.run, "wait") in site.cleared) is is_good


def test_a_dag_that_was_paused_since_is_held_back_with_what_depends_on_it(tmp_path: Path) -> None:
    made = MadeUp()
    made.run("feed", load="failed")
    made.run("other", load="failed")
    reader = made.run("reader", wait="failed UpstreamSensor")
    made.waits(reader, "wait", "feed", "load")
    site, plan = QuickSite.of(made), made.plan()
    site.pauses = {"feed"}
    assert {each.key.dag for each in rehearse(plan, site, OPTIONS).held_back} == {"feed", "reader"}  # type: ignore[arg-type]
    outcome = done(plan, site, tmp_path)
    assert [each.dag for each in site.cleared] == ["other"]
    assert "feed is paused or gone" in outcome.held_back[0].why
    site.pauses = set()
    assert done(plan, site, tmp_path).is_good
    assert [each.dag for each in site.cleared] == ["other", "feed", "reader"]


def test_a_plan_in_the_file_of_an_earlier_one_sets_that_ones_journal_aside(tmp_path: Path) -> None:
    file, now = tmp_path / "night.json", datetime(2026, 1, 10, tzinfo=UTC)
    first = store_of(file, "rp-1")
    Journal(first, "rp-1", now)
    with pytest.raises(PlanInUse):
        store_of(file, "rp-2")
    first.close()
    second = store_of(file, "rp-2")
    assert not Journal(second, "rp-2", now).is_resumed
    second.close()
    assert '"rp-1"' in (tmp_path / "night.json.rp-1.journal").read_text()
    again = store_of(file, "rp-2")
    assert Journal(again, "rp-2", now).is_resumed
    again.close()
