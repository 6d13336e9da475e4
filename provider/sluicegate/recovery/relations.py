"""Why one instance has to run before another: within a run, across windows, and between DAGs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sluicegate.recovery.chosen import GOES_ALONG, Choice, by_run, task_order
from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey, RunKey
from sluicegate.recovery.night import Awaited, Details, Instance, Night, Run, Task

__all__ = ["Link", "links_of"]

_OLDEST = timedelta(days=32)
"""How far back a sensor of Airflow's own may look: it does not say at which date."""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """From one task of a run to another that has to come after it. A mapped task is meant with all its instances.

    `weak`: only supposed or only better so; it is given up where it would make a cycle.
    """

    before: InstanceKey
    after: InstanceKey
    kind: EdgeKind
    reason: str
    weak: bool = False


def links_of(
    choices: Mapping[InstanceKey, Choice], night: Night, details: Details, *, exact: Iterable[str] = ()
) -> list[Link]:
    """All links between tasks that are chosen; keys have no map index.

    Within a run the tasks of its DAG decide. Where nothing else needs them they are not asked for: then what is
    `upstream_failed` comes after all that failed in its run.

    :param exact: DAGs whose tasks are to be asked for in any case
    """
    chosen = _Tasks(choices, night)
    structures = {dag: details.tasks(dag) for dag in chosen.dags_with_structure() | set(exact) & chosen.runs_of.keys()}
    between = list(_of_sensors(chosen, night, structures, details))
    for dag in sorted({link.after.dag for link in between if not chosen.is_root(link.after)} - structures.keys()):
        structures[dag] = details.tasks(dag)
    found = [*_within_runs(chosen, structures), *_across_windows(chosen, structures), *between]
    return list(dict.fromkeys(found))


class _Tasks:
    """The chosen tasks, by run."""

    def __init__(self, choices: Mapping[InstanceKey, Choice], night: Night) -> None:
        self.choices = choices
        self.night = night
        self.of_run: dict[RunKey, dict[str, InstanceKey]] = {}
        for run, keys in by_run(choices).items():
            self.of_run[run] = {key.task: key.whole for key in keys}
        self.roots: dict[RunKey, set[str]] = {}
        for key, each in choices.items():
            if each.instance.state != "upstream_failed":
                self.roots.setdefault(key.of, set()).add(key.task)
        self.runs_of: dict[str, list[RunKey]] = {}
        for run in sorted(self.of_run, key=lambda each: (each.dag, night.runs[each].run_after, each.run)):
            self.runs_of.setdefault(run.dag, []).append(run)

    def by_date(self, dag: str) -> list[RunKey]:
        """In the order in which a task depends on its past: a manual run is due before the window that it is in is."""
        dates = {run: date for run in self.runs_of[dag] if (date := self.night.runs[run].logical_date) is not None}
        return sorted(dates, key=lambda run: dates[run])

    def is_root(self, task: InstanceKey) -> bool:
        """Whether a task failed itself, or one of its instances did; or is chosen for another reason."""
        here = self.roots.get(task.of)
        return here is None or task.task in here

    def dags_with_structure(self) -> set[str]:
        """Those whose tasks were asked for anyway, or of which several runs are chosen, which may need each other."""
        marked = {key.dag for key, each in self.choices.items() if each.action is not Action.CLEAR}
        roles = {key.dag for key, each in self.choices.items() if each.why.endswith(GOES_ALONG)}
        restated = {key.dag for key, each in self.choices.items() if each.instance.state == "success"}
        several = {dag for dag, runs in self.runs_of.items() if len(runs) > 1}
        return marked | roles | restated | several


def _within_runs(chosen: _Tasks, structures: Mapping[str, Mapping[str, Task]]) -> Iterator[Link]:
    after = {dag: task_order(tasks) for dag, tasks in structures.items() if tasks}
    for run, here in chosen.of_run.items():
        if run.dag in after:
            for name, key in here.items():
                for other in _next_chosen(after[run.dag], name, here):
                    yield Link(key, here[other], EdgeKind.TASK, f"{other} comes after {name}")
            continue
        roots = chosen.roots.get(run, set())
        for name in roots:
            for other in here.keys() - roots:
                yield Link(here[name], here[other], EdgeKind.TASK, f"{other} did not run because {name} failed")


def _next_chosen(after: Mapping[str, Iterable[str]], start: str, chosen: Mapping[str, InstanceKey]) -> list[str]:
    """The first chosen tasks on each path from `start`; what is between them keeps its state and its place."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    ahead = list(after.get(start, ()))
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in chosen:
            found[name] = None
        else:
            ahead += after.get(name, ())
    return list(found)


def _across_windows(chosen: _Tasks, structures: Mapping[str, Mapping[str, Task]]) -> Iterator[Link]:
    """`depends_on_past`, and `wait_for_downstream`, for which what comes right after the task counts too."""
    for dag, tasks in structures.items():
        bound = [task for task in tasks.values() if task.depends_on_past or task.wait_for_downstream]
        for task in bound:
            earlier: list[InstanceKey] = []
            for run in chosen.by_date(dag):
                here = chosen.of_run[run]
                own = here.get(task.id)
                if own is not None:
                    word = "wait_for_downstream" if task.wait_for_downstream else "depends_on_past"
                    for key in earlier:
                        yield Link(key, own, EdgeKind.PAST, f"{dag}.{task.id} has {word}")
                names = [task.id, *(task.after if task.wait_for_downstream else ())]
                found = [here[name] for name in names if name in here]
                if found:
                    earlier = found


def _of_sensors(
    chosen: _Tasks, night: Night, structures: Mapping[str, Mapping[str, Task]], details: Details
) -> Iterator[Link]:
    """Between DAGs, by what sensors wait for. Where a sensor has its success already, what follows it waits."""
    for run, keys in by_run(night.instances).items():
        here = chosen.of_run.get(run)
        if not here:
            continue
        for key in keys:
            instance = night.instances[key]
            awaited = instance.awaited or _unstarted(instance, chosen, details)
            if awaited is None or awaited.dag not in chosen.runs_of:
                continue
            readers = _readers(key.task, here, structures.get(run.dag))
            is_supposed = awaited.runs is None or awaited.runs.dates is None
            for before in _producers(awaited, run, chosen, night):
                for after in readers:
                    yield Link(before, after, *_reason(instance, key, before), weak=is_supposed)


def _unstarted(instance: Instance, chosen: _Tasks, details: Details) -> Awaited | None:
    """What a sensor waits for that has not started, or so long ago that Airflow has forgotten its rendered fields."""
    if instance.key.of not in chosen.of_run:
        return None
    if instance.operator == "UpstreamSensor":
        return _by_its_name(instance.key.task, chosen)
    if instance.operator == "ExternalTaskSensor":
        return details.awaited_before(instance.key.dag, instance.key.task)
    return None


def _by_its_name(task: str, chosen: _Tasks) -> Awaited | None:
    """A wait of ours is called after what it waits for."""
    words = task.removeprefix("wait_for__").split("__")
    for count in range(len(words), 0, -1):
        name, step = "__".join(words[:count]), "__".join(words[count:])
        if name in chosen.runs_of:
            return Awaited(name, (step,) if step else None, None)
    return None


def _readers(task: str, here: Mapping[str, InstanceKey], tasks: Mapping[str, Task] | None) -> list[InstanceKey]:
    if task in here:
        return [here[task]]
    if tasks:
        return [here[name] for name in _next_chosen(task_order(tasks), task, here)]
    return list(here.values())


def _producers(awaited: Awaited, own: RunKey, chosen: _Tasks, night: Night) -> Iterator[InstanceKey]:
    mine = night.runs[own]
    for run in chosen.runs_of[awaited.dag]:
        other = night.runs[run]
        if run == own:
            continue
        if awaited.runs is not None and awaited.runs.dates is not None:
            if other.logical_date is None or other.logical_date not in awaited.runs:
                continue
        elif not _may_be_awaited(other, mine):
            continue
        here = chosen.of_run[run]
        yield from (key for name, key in here.items() if awaited.tasks is None or name in awaited.tasks)


def _may_be_awaited(other: Run, mine: Run) -> bool:
    """By a sensor that does not say which runs it waits for. One at the same logical date may be due later."""
    if other.run_after <= mine.run_after:
        return other.run_after >= mine.run_after - _OLDEST
    dates = other.logical_date, mine.logical_date
    return dates[0] is not None and dates[1] is not None and dates[1] - _OLDEST <= dates[0] <= dates[1]


def _reason(sensor: Instance, key: InstanceKey, before: InstanceKey) -> tuple[EdgeKind, str]:
    words = f"{key.dag}.{key.task} waits for {before.dag}.{before.task}"
    return (EdgeKind.DATASET if sensor.kind == "wait" else EdgeKind.SENSOR), words
