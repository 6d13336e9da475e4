"""Which instances are reset because of which failure: what matches the filters, and what goes along with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from sluicegate.graph.order import following, reached
from sluicegate.recovery.definition import Action, InstanceKey, LeftAlone, RunKey
from sluicegate.recovery.night import ENDED_RUN, FAILED, UNDER_WAY, Details, FaultSeen, Instance, Night, Task
from sluicegate.recovery.request import Request, Treatment

__all__ = [
    "GOES_ALONG",
    "Choice",
    "Chosen",
    "by_run",
    "choose",
    "choose_run",
    "needs_structure",
    "task_order",
    "why_nothing_runs",
    "with_setups_and_teardowns",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """An instance of the plan. `root`: it failed itself, and its failure is one of the plan's causes."""

    instance: Instance
    why: str
    root: bool = False
    action: Action = Action.CLEAR
    force: bool = False


@dataclass
class Chosen:
    """The choice so far; each rule of the plan takes it and adds to it, or takes away with a reason."""

    choices: dict[InstanceKey, Choice] = field(default_factory=dict)
    left: list[LeftAlone] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _of_run: dict[RunKey, set[InstanceKey]] = field(default_factory=dict)

    def add(self, choice: Choice) -> None:
        key = choice.instance.key
        self.choices.setdefault(key, choice)
        self._of_run.setdefault(key.of, set()).add(key)

    def of(self, run: RunKey) -> list[InstanceKey]:
        """What is chosen of a run, sorted."""
        return sorted(self._of_run.get(run, ()))

    def leave(self, key: InstanceKey, why: str) -> None:
        self._remove(key)
        index = f"[{key.index}]" if key.index >= 0 else ""
        self.left.append(LeftAlone(key.dag, key.run, key.task + index, why))

    def leave_under_way(self, each: Instance) -> None:
        self.leave(each.key, f"it is {each.state}; --include-running would stop it and begin anew")

    def leave_run(self, run: RunKey, why: str) -> None:
        for key in self.of(run):
            self._remove(key)
        self.left.append(LeftAlone(run.dag, run.run, "", why))

    def leave_dag(self, dag: str, why: str) -> None:
        for run in [run for run in self._of_run if run.dag == dag]:
            for key in self.of(run):
                self._remove(key)
        self.left.append(LeftAlone(dag, "", "", why))

    def _remove(self, key: InstanceKey) -> None:
        if self.choices.pop(key, None) is not None:
            self._of_run[key.of].discard(key)


GOES_ALONG = "goes with its task"
"""Ends the reason of setups and teardowns that did not fail themselves."""

_ALSO_BEHIND = "a failure that the filters leave out comes before it as well"

_ACTIONS = {
    Treatment.RESET: Action.CLEAR,
    Treatment.SUCCEED: Action.MARK_SUCCESS,
    Treatment.SKIP: Action.MARK_SKIPPED,
}


def by_run(keys: Iterable[InstanceKey]) -> dict[RunKey, list[InstanceKey]]:
    """The keys of each run, in their order."""
    found: dict[RunKey, list[InstanceKey]] = {}
    for key in keys:
        found.setdefault(key.of, []).append(key)
    return found


def choose(night: Night, request: Request, details: Details) -> Chosen:
    """What failed and matches, with what failed after it in its run, and the setups and teardowns around it.

    A task that succeeded although one before it failed is left alone: its trigger rule says that this is meant.
    """
    chosen = Chosen()
    for run, keys in by_run(night.instances).items():
        instances = [night.instances[key] for key in keys]
        roots = [each for each in instances if _is_root(each, night, request)]
        lost = _lost(instances, request) if night.runs[run].state in ENDED_RUN else []
        if not roots and not lost and not _only_followers(instances, request):
            continue
        _choose_in_run(chosen, instances, roots, lost, night, request, details)
    if request.include_running and any(each.instance.state in UNDER_WAY for each in chosen.choices.values()):
        chosen.warnings.append(
            "--include-running: what runs or waits is stopped and begins anew; what it has not committed is lost, and "
            "a `spark` step that waits for its cluster ends that cluster."
        )
    return chosen


def _choose_in_run(
    chosen: Chosen,
    instances: list[Instance],
    roots: list[Instance],
    lost: list[Instance],
    night: Night,
    request: Request,
    details: Details,
) -> None:
    dag = instances[0].key.dag
    action = _ACTIONS[request.treatment]
    for each in roots:
        why = _why(each, night.faults.get(each.key))
        force = request.force and bool(each.kind) and action is Action.CLEAR
        chosen.add(Choice(each, why, root=True, action=action, force=force))
    failed = [each for each in instances if each.state == "failed"]
    others = [each for each in failed if each not in roots]
    behind_others = set()
    if others and lost:
        behind_others = reached(task_order(details.tasks(dag)), [each.key.task for each in others])
    for each in lost:
        if each.key.task in behind_others:
            chosen.leave(each.key, _ALSO_BEHIND)
        else:
            chosen.add(Choice(each, "never ran: the run ended while it was being reset"))
    followers = [each for each in instances if each.state == "upstream_failed"]
    if others or needs_structure(instances):
        tasks = details.tasks(dag)
        followers = list(_followers(chosen, followers, roots, others, tasks))
        for each in followers:
            chosen.add(_follower(each, request))
        with_setups_and_teardowns(chosen, instances, tasks)
        return
    for each in followers:
        chosen.add(_follower(each, request))


def _follower(each: Instance, request: Request) -> Choice:
    """What comes after a failure runs, unless what failed is skipped: then it is as well."""
    action = Action.MARK_SKIPPED if request.treatment is Treatment.SKIP else Action.CLEAR
    force = request.force and bool(each.kind) and action is Action.CLEAR
    return Choice(each, "a task before it failed", action=action, force=force)


def _is_root(each: Instance, night: Night, request: Request) -> bool:
    """Whether it failed, or runs and is meant too, and passes the filters for what failed."""
    if each.state == "failed":
        if not _has_failed_since(each, request.failed_since):
            return False
    elif not (request.include_running and each.state in UNDER_WAY):
        return False
    if request.kinds and each.kind not in request.kinds:
        return False
    if request.started_before is not None and (each.started is None or each.started >= request.started_before):
        return False
    if request.tasks and not any(fnmatchcase(each.key.task, glob) for glob in request.tasks):
        return False
    if request.faults:
        fault = night.faults.get(each.key)
        return fault is not None and bool({fault.code, fault.kind} & set(request.faults))
    return True


def _lost(instances: list[Instance], request: Request) -> list[Instance]:
    """Of a run that has ended, what was reset in that moment: no fault says why, and no filter for faults means it."""
    if request.faults or request.kinds or request.started_before:
        return []
    return [
        each
        for each in instances
        if each.state is None and (not request.tasks or any(fnmatchcase(each.key.task, glob) for glob in request.tasks))
    ]


def _only_followers(instances: list[Instance], request: Request) -> bool:
    """Whether what failed in a run has been mended by hand, and what came after it was forgotten."""
    states = {each.state for each in instances}
    return (
        "upstream_failed" in states
        and "failed" not in states
        and not (request.tasks or request.faults or request.kinds or request.started_before)
        and any(_has_failed_since(each, request.failed_since) for each in instances if each.state in FAILED)
    )


def _has_failed_since(each: Instance, since: datetime | None) -> bool:
    return since is None or (each.ended is not None and each.ended >= since)


def _why(each: Instance, fault: FaultSeen | None) -> str:
    if each.state in UNDER_WAY:
        return f"it is {each.state}, and running ones are included"
    if fault is not None:
        return f"{fault.code} on {fault.subject}" if fault.subject else fault.code
    return "it failed"


def choose_run(chosen: Chosen, instances: list[Instance], night: Night, details: Details, why: str) -> None:
    """All that failed in an ended run, whatever the filters say, and what goes along with it.

    :param why: for what nothing else had chosen
    """
    roots = [each for each in instances if each.state == "failed"]
    lost = [each for each in instances if each.state is None]
    run = instances[0].key.of
    before = set(chosen.of(run))
    _choose_in_run(chosen, instances, roots, lost, night, Request(), details)
    for key in set(chosen.of(run)) - before:
        chosen.choices[key] = replace(chosen.choices[key], why=why)


def why_nothing_runs(dag: str, night: Night) -> str | None:
    """Why a task of this DAG would not run if it were reset; None where it would."""
    known = night.dags.get(dag)
    if known is None or known.stale:
        return "Airflow does not find this DAG any more: nothing would run"
    return "it is paused: nothing would run before it is unpaused" if known.paused else None


def needs_structure(instances: Iterable[Instance]) -> bool:
    """Whether a teardown may have run: something began after something else had failed, or that is mended since."""
    every = list(instances)
    if any(each.state == "upstream_failed" for each in every) and not any(each.state == "failed" for each in every):
        return True
    failures = [each.ended for each in every if each.state == "failed" and each.ended is not None]
    if not failures:
        return False
    first = min(failures)
    return any(each.started is not None and each.started >= first for each in every if each.state not in FAILED) or any(
        each.started is not None and each.started > first for each in every if each.state == "failed"
    )


def task_links(tasks: Mapping[str, Task]) -> list[tuple[str, str]]:
    """Each (task, one after it) of a DAG."""
    return [(task.id, after) for task in tasks.values() for after in task.after]


def task_order(tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """By task of a DAG that has any after it, those right after it."""
    return following(task_links(tasks))


def _followers(
    chosen: Chosen,
    followers: list[Instance],
    roots: list[Instance],
    others: list[Instance],
    tasks: Mapping[str, Task],
) -> Iterator[Instance]:
    """Those after a chosen failure. What another failure, one that is not chosen, also precedes would fail again."""
    after = task_order(tasks)
    behind = reached(after, [each.key.task for each in roots])
    also_behind = reached(after, [each.key.task for each in others])
    for each in followers:
        if not tasks or not others or (each.key.task in behind and each.key.task not in also_behind):
            yield each
        elif each.key.task in behind:
            chosen.leave(each.key, _ALSO_BEHIND)


def with_setups_and_teardowns(chosen: Chosen, instances: list[Instance], tasks: Mapping[str, Task]) -> None:
    """A task that needs a setup runs with it, and with the teardown that cleans up after both."""
    links = task_links(tasks)
    after, before = following(links), following((second, first) for first, second in links)
    setups = {name for name, task in tasks.items() if task.role == "setup"}
    if not setups:
        return
    run = instances[0].key.of
    states: dict[str, set[str | None]] = {}
    for each in instances:
        states.setdefault(each.key.task, set()).add(each.state)
    wanted: set[str] = set()
    for name in {key.task for key in chosen.of(run) if chosen.choices[key].action is Action.CLEAR}:
        earlier, later = reached(before, [name]), reached(after, [name])
        for setup in setups & earlier:
            teardowns = {each for each in after.get(setup, ()) if tasks[each].role == "teardown"}
            if teardowns and all(states.get(each, {None}) == {None} for each in teardowns):
                continue  # what was set up is still there
            # A setup is needed as long as its teardown is still to come; without a teardown, by all that follow.
            if name not in teardowns and (not teardowns or teardowns & later):
                wanted |= {setup, *teardowns}
    for each in instances:
        if each.key.task not in wanted or each.key in chosen.choices:
            continue
        role = tasks[each.key.task].role
        if each.state not in UNDER_WAY:
            chosen.add(Choice(each, f"a {role} {GOES_ALONG}"))
        elif role == "teardown":
            chosen.leave_run(run, f"its teardown {each.key.task} is {each.state}: make the plan once that is over")
            return
