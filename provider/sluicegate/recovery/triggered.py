"""Runs that a task of the chosen ones has started: by TriggerDagRun, or by an asset event. None is started twice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sluicegate.graph.order import reached
from sluicegate.recovery.chosen import Chosen, by_run, choose_run, task_order, why_nothing_runs
from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey, RunKey
from sluicegate.recovery.night import FAILED, Details, Instance, Night, Run
from sluicegate.recovery.relations import Link

__all__ = ["Reset", "asset_events", "triggered_runs"]

Reset = tuple[str, int, InstanceKey]
"""A DAG, the id of an asset whose queued event it must lose, and the task that emits it again."""


def triggered_runs(chosen: Chosen, night: Night, details: Details) -> tuple[Night, list[Link]]:
    """Tasks that start a run of another DAG: where that run is there, its failures are reset and the task is marked
    as success. To run the task again would start a second run, or fail because the first one exists.

    The night gains the runs that the filters had left out.
    """
    starting = [key for key, each in chosen.choices.items() if each.instance.triggers is not None]
    if not starting:
        return night, []
    found = _Triggered(chosen, night, details)
    for key in starting:
        found.visit(key)
    return found.night, found.links


class _Triggered:
    """Goes from tasks to the runs that they have started, and on to those that these have started."""

    def __init__(self, chosen: Chosen, night: Night, details: Details) -> None:
        self._chosen = chosen
        self._runs, self._all = dict(night.runs), dict(night.instances)
        self.night = replace(night, runs=self._runs, instances=self._all)
        self._details = details
        self._of_run = by_run(night.instances)
        self._visited: set[InstanceKey] = set()
        self.links: list[Link] = []

    def visit(self, key: InstanceKey) -> None:
        choice = self._chosen.choices.get(key)
        if key in self._visited or choice is None or choice.action is not Action.CLEAR:
            return
        self._visited.add(key)
        child = self._details.triggered_run(choice.instance)
        if child is None:
            return
        words = f"the run {child.key.run} of {child.key.dag} that it started"
        if choice.instance.state == "success":
            self._chosen.leave(key, f"it would start a second run beside {words}: --from {child.key.dag} restates that")
            return
        obstacle = self._recover(child, key)
        if obstacle is not None:
            _leave_with_followers(self._chosen, key, f"{words} {obstacle}", self._details)
            return
        why = f"{choice.why}; {words} counts"
        self._chosen.choices[key] = replace(choice, action=Action.MARK_SUCCESS, why=why)
        self.links += [
            Link(before, key.whole, EdgeKind.TRIGGER, f"{key.dag}.{key.task} started {child.key}")
            for before in dict.fromkeys(each.whole for each in self._chosen.of(child.key))
        ]

    def _recover(self, child: Run, parent: InstanceKey) -> str | None:
        """Choose what failed in a run that a task has started; or why that is not possible."""
        if child.state in ("running", "queued"):
            return "still runs"
        instances = self._instances(child)
        failed = [each for each in instances if each.state in FAILED]
        if not failed:
            return None
        if why_nothing_runs(child.key.dag, self.night) is not None:
            return "cannot run: its DAG is paused or gone"
        words = f"{parent.dag}.{parent.task} started its run and waits for it"
        choose_run(self._chosen, instances, self.night, self._details, words)
        for each in self._chosen.of(child.key):
            if self._chosen.choices[each].instance.triggers is not None:
                self.visit(each)
        return "is left alone" if any(each.key not in self._chosen.choices for each in failed) else None

    def _instances(self, run: Run) -> list[Instance]:
        if run.key not in self._runs:
            found = {each.key: each for each in self._details.all_of(run.key)}
            self._runs[run.key] = run
            self._all |= found
            self._of_run[run.key] = list(found)
        return [self._all[key] for key in self._of_run.get(run.key, ())]


def _leave_with_followers(chosen: Chosen, key: InstanceKey, why: str, details: Details) -> None:
    after = task_order(details.tasks(key.dag))
    behind = reached(after, [key.task])
    chosen.leave(key, why)
    for other in [other for other in chosen.of(key.of) if other.task in behind]:
        chosen.leave(other, f"it comes after {key.task}, which is left alone")


def asset_events(chosen: Chosen, night: Night, details: Details) -> tuple[list[Link], list[Reset]]:
    """Tasks that emit an asset again. A DAG that any one asset starts runs anew by that: its old runs are left alone.
    One that waits for several would keep the event for its next run: its old run is reset instead, and the event
    deleted.
    """
    links: list[Link] = []
    resets: list[Reset] = []
    again = {
        run: {key.task for key in keys if chosen.choices[key].action is Action.CLEAR}
        for run, keys in by_run(chosen.choices).items()
        if any((key.dag, key.task) in night.assets.emitted for key in keys)
    }
    emitting = {dag for dag, _ in night.assets.emitted}
    anew: dict[RunKey, None] = {}
    for run, tasks in again.items():
        if run in anew:
            continue
        events = [event for event in details.emitted(run) if event.task in tasks]
        emitted_again = {event.asset_id for event in events}
        for event in events:
            emitter = InstanceKey(run.dag, run.run, event.task)
            for started in dict.fromkeys(event.started):
                if details.starts(started.dag, emitted_again):
                    _follow_new_run(chosen, emitter, started)
                    anew[started] = None
                    continue
                resets.append((started.dag, event.asset_id, emitter))
                links += _old_run_after(chosen, emitter, started, night, event.asset_id)
    _follow_further(chosen, anew, emitting, details)
    return links, list(dict.fromkeys(resets))


def _follow_further(chosen: Chosen, anew: dict[RunKey, None], emitting: Collection[str], details: Details) -> None:
    """A new run, in place of that of `anew`, emits its assets again as well."""
    ahead = list(anew)
    while ahead:
        run = ahead.pop(0)
        for event in details.emitted(run) if run.dag in emitting else ():
            emitter = InstanceKey(run.dag, run.run, event.task)
            for started in event.started:
                if started in anew:
                    continue
                anew[started] = None
                if details.starts(started.dag, {each.asset_id for each in details.emitted(run)}):
                    _follow_new_run(chosen, emitter, started)
                    ahead.append(started)
                else:
                    chosen.warnings.append(
                        f"the new run of {run.dag} emits again what {started} was started by with other assets: look "
                        f"at the queued events of {started.dag} before its next run"
                    )


def _follow_new_run(chosen: Chosen, emitter: InstanceKey, started: RunKey) -> None:
    words = f"{emitter.dag}.{emitter.task} runs again and starts a new run of {started.dag} by its asset"
    if chosen.of(started):
        chosen.leave_run(started, words)
    elif words not in chosen.warnings:
        chosen.warnings.append(f"{words}, beside {started.run}")


def _old_run_after(chosen: Chosen, emitter: InstanceKey, started: RunKey, night: Night, asset: int) -> list[Link]:
    name = night.assets.names.get(asset, str(asset))
    tasks = {key.task for key in chosen.of(started)}
    if not tasks:
        chosen.warnings.append(
            f"{emitter.dag}.{emitter.task} emits {name} again; {started.dag} waits for other assets too: its event is "
            "deleted, so that its next run does not begin with it"
        )
    return [
        Link(
            emitter, InstanceKey(started.dag, started.run, task), EdgeKind.ASSET, f"{started.dag} is started by {name}"
        )
        for task in sorted(tasks)
    ]
