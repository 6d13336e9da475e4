"""Builds a plan from a night. The passes are named in `build`; each takes values and returns values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from sluicegate.recovery.chosen import Choice, Chosen, by_run, choose, why_nothing_runs
from sluicegate.recovery.definition import (
    Action,
    Cause,
    Edge,
    EdgeKind,
    InstanceKey,
    Load,
    Plan,
    PlannedInstance,
    PlannedRun,
    PoolLoad,
    QueuedEvent,
    Server,
)
from sluicegate.recovery.night import UNDER_WAY, Details, FaultSeen, Night
from sluicegate.recovery.ordered import ordered
from sluicegate.recovery.outside import failures_outside
from sluicegate.recovery.plan_file import sealed
from sluicegate.recovery.relations import Link
from sluicegate.recovery.request import Request
from sluicegate.recovery.triggered import Reset, asset_events, triggered_runs

__all__ = ["build", "build_of"]

Group = tuple[str, str, str]
"""What failures with one reason have in common: a fault and its subject, or a DAG and its task."""


_LINKED = 20
"""Of how many causes, the largest first, Airflow is asked where to read on: a call each."""


def build(night: Night, request: Request, details: Details, *, server: Server, by: str, now: datetime) -> Plan:
    """The plan for what failed in `night`.

    :param by: who makes it
    :raises PlanCycle: when what is chosen waits for itself
    """
    chosen = choose(night, request, details)
    return build_of(chosen, night, request, details, server=server, by=by, now=now)


def build_of(
    chosen: Chosen,
    night: Night,
    request: Request,
    details: Details,
    *,
    server: Server,
    by: str,
    now: datetime,
    links: Sequence[Link] = (),
) -> Plan:
    """The plan for what is chosen, for whatever reason.

    :param links: what is known of its order besides what the night shows
    """
    _leave_what_cannot_run(chosen, night, details)
    _leave_what_is_under_way(chosen, night, request)
    night, of_triggers = triggered_runs(chosen, night, details)
    of_assets, resets = asset_events(chosen, night, details)
    links, wave_of = ordered(chosen, night, details, [*links, *of_triggers, *of_assets])
    causes, cause_of = _causes(chosen.choices, night, links, details)
    instances = _instances(chosen.choices, wave_of, cause_of)
    chosen.warnings += failures_outside(chosen, night, details)
    load = _load(instances, chosen.choices, night)
    chosen.warnings += [
        f"the pool {each.pool} has no slots: {each.wanted} of them are wanted, and what needs them would wait for ever"
        for each in load.pools
        if each.slots == 0
    ]
    return sealed(
        Plan(
            id="",
            created=now,
            created_by=by,
            server=server,
            request=request.words(),
            runs=_runs(instances, night),
            instances=instances,
            edges=_edges(instances, links),
            causes=causes,
            queued_events=_queued_events(resets, wave_of, night),
            left_alone=tuple(chosen.left),
            warnings=tuple(chosen.warnings),
            load=load,
            afterwards=request.afterwards,
        )
    )


def _leave_what_cannot_run(chosen: Chosen, night: Night, details: Details) -> None:
    for dag in sorted({key.dag for key in chosen.choices}):
        why = why_nothing_runs(dag, night)
        if why is not None:
            chosen.leave_dag(dag, why)
        elif night.dags[dag].broken:
            chosen.warnings.append(f"{dag}: its file cannot be imported at present; its last good version would run")
    for key, choice in list(chosen.choices.items()):
        if choice.instance.state == "removed":
            chosen.leave(key, "the task is not in the DAG any more")


def _leave_what_is_under_way(chosen: Chosen, night: Night, request: Request) -> None:
    """Say what runs or waits in the runs of the plan, where that was not asked to be stopped."""
    if request.include_running:
        return
    runs = set(by_run(chosen.choices))
    said = {(each.dag, each.run, each.task) for each in chosen.left}
    for key, each in night.instances.items():
        if each.state in UNDER_WAY and key.of in runs and (key.dag, key.run, key.task) not in said:
            chosen.leave_under_way(each)


def _instances(
    choices: Mapping[InstanceKey, Choice], wave_of: Mapping[InstanceKey, int], cause_of: Mapping[InstanceKey, int]
) -> tuple[PlannedInstance, ...]:
    order = sorted(choices, key=lambda key: (wave_of[key.whole], key))
    return tuple(
        PlannedInstance(
            dag=key.dag,
            run=key.run,
            task=key.task,
            index=key.index,
            id=choices[key].instance.id,
            state=choices[key].instance.state,
            tries=choices[key].instance.tries,
            wave=wave_of[key.whole],
            why=choices[key].why,
            cause=cause_of.get(key),
            action=choices[key].action,
            force=choices[key].force,
            operator=choices[key].instance.operator,
        )
        for key in order
    )


def _edges(instances: tuple[PlannedInstance, ...], links: list[Link]) -> tuple[Edge, ...]:
    """Between the first instances of their tasks: an edge of a mapped task is one of all its instances."""
    place: dict[InstanceKey, int] = {}
    for number, each in enumerate(instances):
        place.setdefault(each.key.whole, number)
    found = {(place[each.before], place[each.after]): each for each in links}
    return tuple(
        Edge(before, after, each.kind, each.reason)
        for (before, after), each in sorted(found.items(), key=lambda pair: pair[0])
    )


def _runs(instances: tuple[PlannedInstance, ...], night: Night) -> tuple[PlannedRun, ...]:
    keys = dict.fromkeys(each.of for each in instances)
    return tuple(
        PlannedRun(
            dag=key.dag,
            run=key.run,
            state=night.runs[key].state,
            run_after=night.runs[key].run_after,
            logical_date=night.runs[key].logical_date,
            window_start=night.runs[key].start,
            window_end=night.runs[key].end,
        )
        for key in sorted(keys)
    )


def _causes(
    choices: Mapping[InstanceKey, Choice], night: Night, links: list[Link], details: Details
) -> tuple[tuple[Cause, ...], dict[InstanceKey, int]]:
    """What failed, grouped by reason; the largest group first, those that follow from another after it."""
    groups: dict[Group, list[InstanceKey]] = {}
    for key, each in choices.items():
        if not each.root:
            continue
        fault = night.faults.get(key)
        if fault is not None:
            name = (fault.code, fault.subject, "" if fault.subject else f"{key.dag}.{key.task}")
        else:
            state = each.instance.state
            words = f"{'at work' if state in UNDER_WAY else 'restated'}: {each.why}"
            name = ("", words, "") if state != "failed" else ("", key.dag, key.task)
        groups.setdefault(name, []).append(key)
    because = _followed(groups, links)
    order = sorted(groups, key=lambda name: (because.get(name) is not None, -len(groups[name]), name))
    place = {name: number for number, name in enumerate(order)}
    causes = []
    for name in order:
        keys, parent = groups[name], because.get(name)
        fault = night.faults.get(keys[0])
        read_on = details.read_on(keys[0]) if fault is not None and place[name] < _LINKED else ""
        causes.append(_cause(name, keys, fault, read_on, None if parent is None else place[parent]))
    return tuple(causes), {key: place[name] for name, keys in groups.items() for key in keys}


def _followed(groups: Mapping[Group, list[InstanceKey]], links: list[Link]) -> dict[Group, Group]:
    """By group, another one that most of its failures come after in another run: the reason of that reason."""
    group_of = {key.whole: name for name, keys in groups.items() for key in keys}
    run_of: dict[tuple[str, str], set[Group]] = {}
    for key, name in group_of.items():
        run_of.setdefault((key.dag, key.run), set()).add(name)
    counts: dict[Group, Counter[Group]] = {}
    for link in links:
        after = group_of.get(link.after)
        if after is None or link.kind is EdgeKind.TASK:
            continue
        before = (
            {group_of[link.before]}
            if link.before in group_of
            else run_of.get((link.before.dag, link.before.run), set())
        )
        for each in before - {after}:
            counts.setdefault(after, Counter())[each] += 1
    found: dict[Group, Group] = {}
    for name, counter in sorted(counts.items()):
        parent = min(counter, key=lambda other: (-counter[other], other))
        step: Group | None = parent
        while step is not None and step != name:  # never in a circle
            step = found.get(step)
        if step is None:
            found[name] = parent
    return found


def _cause(name: Group, keys: list[InstanceKey], fault: FaultSeen | None, read_on: str, because: int | None) -> Cause:
    runs = len({key.of for key in keys})
    first = keys[0]
    if fault is None:
        return Cause(title=f"{first.dag}.{first.task} failed" if name[2] else name[1], runs=runs, because=because)
    return Cause(
        title=f"{fault.code} on {fault.subject}" if fault.subject else f"{fault.code} in {name[2]}",
        code=fault.code,
        kind=fault.kind,
        subject=fault.subject,
        playbook=read_on,
        runs=runs,
        because=because,
    )


def _queued_events(resets: list[Reset], wave_of: Mapping[InstanceKey, int], night: Night) -> tuple[QueuedEvent, ...]:
    return tuple(
        QueuedEvent(dag, asset, night.assets.names.get(asset, str(asset)), wave_of[emitter])
        for dag, asset, emitter in resets
        if emitter in wave_of
    )


def _load(instances: tuple[PlannedInstance, ...], choices: Mapping[InstanceKey, Choice], night: Night) -> Load:
    """At most: of a wave, what does not wait for something before it in its own run."""
    tasks = clusters = 0
    wanted: Counter[str] = Counter()
    for _, wave in groupby(instances, key=lambda each: each.wave):
        reset = [each for each in wave if each.action is Action.CLEAR]
        first = [each for each in reset if each.state != "upstream_failed"]
        tasks = max(tasks, len(first))
        starting = [each for each in reset if each.operator == "SparkOperator"]
        clusters = max(clusters, len(starting))
        slots: Counter[str] = Counter()
        for each in first:
            instance = choices[each.key].instance
            slots[instance.pool] += instance.pool_slots
        for pool, number in slots.items():
            wanted[pool] = max(wanted[pool], number)
    pools = tuple(PoolLoad(pool, number, night.pools.get(pool)) for pool, number in sorted(wanted.items()))
    return Load(tasks=tasks, pools=pools, clusters=clusters)
