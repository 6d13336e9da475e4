"""Runs that a task of the chosen ones has started: by TriggerDagRun, or by an asset event. None is started twice."""

from __future__ import annotations

from dataclasses import replace

from sluicegate.graph.order import following, reached
from sluicegate.recovery.chosen import Choice, Chosen, by_run, task_links
from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey, RunKey
from sluicegate.recovery.night import FAILED, Details, Night, Run
from sluicegate.recovery.relations import Link

__all__ = ["Reset", "asset_events", "triggered_runs"]

Reset = tuple[str, int, InstanceKey]
"""A DAG, the id of an asset whose queued event it must lose, and the task that emits it again."""


def triggered_runs(chosen: Chosen, night: Night, details: Details) -> tuple[Night, list[Link]]:
    """Tasks that start a run of another DAG: where that run is there, its failures are reset and the task is marked
    as success. To run the task again would start a second run, or fail because the first one exists.

    The night gains the runs that the filters had left out.
    """
    links: list[Link] = []
    for key, choice in list(chosen.choices.items()):
        if choice.instance.triggers is None or choice.action is not Action.CLEAR:
            continue
        child = details.triggered_run(choice.instance)
        if child is None:
            continue
        night = _with_run(night, child, details)
        if child.state in ("running", "queued"):
            _leave_with_followers(
                chosen, key, f"the run {child.key.run} of {child.key.dag} that it started still runs", details
            )
            continue
        failed = [each for each in night.instances.values() if each.key.of == child.key and each.state in FAILED]
        for each in failed:
            chosen.add(
                Choice(each, f"{key.dag}.{key.task} started its run and waits for it", root=each.state == "failed")
            )
        done = replace(
            choice,
            action=Action.MARK_SUCCESS,
            why=f"{choice.why}; the run {child.key.run} of {child.key.dag} that it started counts",
        )
        chosen.choices[key] = done
        after = InstanceKey(key.dag, key.run, key.task)
        links += [
            Link(
                InstanceKey(each.key.dag, each.key.run, each.key.task),
                after,
                EdgeKind.TRIGGER,
                f"{key.dag}.{key.task} started {child.key.dag} {child.key.run}",
            )
            for each in failed
        ]
    return night, links


def _with_run(night: Night, run: Run, details: Details) -> Night:
    if run.key in night.runs:
        return night
    instances = {each.key: each for each in details.all_of(run.key)}
    return replace(night, runs={**night.runs, run.key: run}, instances={**night.instances, **instances})


def _leave_with_followers(chosen: Chosen, key: InstanceKey, why: str, details: Details) -> None:
    after = following(task_links(details.tasks(key.dag)))
    behind = reached(after, [key.task])
    chosen.leave(key, why)
    for other in [other for other in chosen.choices if other.of == key.of and other.task in behind]:
        chosen.leave(other, f"it comes after {key.task}, which is left alone")


def asset_events(chosen: Chosen, night: Night, details: Details) -> tuple[list[Link], list[Reset]]:
    """Tasks that emit an asset again. A DAG that any one asset starts runs anew by that: its old runs are left alone.
    One that waits for several would keep the event for its next run: its old run is reset instead, and the event
    deleted.
    """
    links: list[Link] = []
    resets: list[Reset] = []
    for run, keys in by_run(chosen.choices).items():
        if not any((key.dag, key.task) in night.assets.emitted for key in keys):
            continue
        again = {key.task for key in keys if chosen.choices[key].action is Action.CLEAR}
        events = [event for event in details.emitted(run) if event.task in again and event.started]
        emitted_again = {event.asset_id for event in details.emitted(run) if event.task in again}
        for event in events:
            emitter = InstanceKey(run.dag, run.run, event.task)
            for started in dict.fromkeys(event.started):
                needed = details.needs_all(started.dag)
                if needed is None or needed <= emitted_again:
                    _follow_new_run(chosen, emitter, started)
                    continue
                resets.append((started.dag, event.asset_id, emitter))
                links += _old_run_after(chosen, emitter, started, night, event.asset_id)
    return links, list(dict.fromkeys(resets))


def _follow_new_run(chosen: Chosen, emitter: InstanceKey, started: RunKey) -> None:
    words = f"{emitter.dag}.{emitter.task} runs again and starts a new run of {started.dag} by its asset"
    if any(key.of == started for key in chosen.choices):
        chosen.leave_run(started, words)
    elif words not in chosen.warnings:
        chosen.warnings.append(f"{words}, beside {started.run}")


def _old_run_after(chosen: Chosen, emitter: InstanceKey, started: RunKey, night: Night, asset: int) -> list[Link]:
    name = night.assets.names.get(asset, str(asset))
    tasks = {key.task for key in chosen.choices if key.of == started}
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
