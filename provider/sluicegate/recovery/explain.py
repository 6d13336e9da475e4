"""A plan in words: why, in which order, what is left alone, and what it asks of Airflow. Lines of text, no effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sluicegate.recovery.definition import Action, Cause, LeftAlone, Plan, PlannedInstance

__all__ = ["explain", "headline", "left_in_words", "warnings_in_words", "waves_in_words"]

_MOST_NAMES = 8
_MOST_LEFT = 12
_MOST_CAUSES = 20
"""Beside each other, in the tree."""
_MOST_WAVES = 24
_MOST_WARNINGS = 12
_ELSEWHERE = "they are in the plan's file"
_ACTIONS = {Action.CLEAR: "reset", Action.MARK_SUCCESS: "mark as success", Action.MARK_SKIPPED: "mark as skipped"}


def headline(plan: Plan) -> str:
    """The plan in one line."""
    runs = {each.of for each in plan.instances}
    return (
        f"{plan.id}: {_count(len(plan.instances), 'task instance')} of {_count(len(runs), 'run')} in "
        f"{_count(len(plan.dags), 'DAG')}, {_count(len(plan.waves), 'wave')}; {plan.server.url} (Airflow "
        f"{plan.server.version})"
    )


def explain(plan: Plan) -> Iterator[str]:
    """The plan as lines: a tree of causes, then waves, then the rest."""
    yield headline(plan)
    if plan.causes:
        yield ""
        yield "Why"
        yield from _tree(plan.causes)
    yield ""
    yield "Order"
    yield from waves_in_words(plan)
    if plan.left_alone:
        yield ""
        yield "Left alone"
        yield from left_in_words(plan.left_alone)
    if plan.warnings:
        yield ""
        yield "Warnings"
        yield from warnings_in_words(plan)
    yield ""
    yield "Load"
    yield from _load(plan)
    if plan.afterwards:
        yield ""
        yield "Afterwards"
        yield from (f"  {command}" for command in plan.afterwards)


def _tree(causes: Sequence[Cause]) -> Iterator[str]:
    children: dict[int | None, list[int]] = {}
    for place, cause in enumerate(causes):
        children.setdefault(cause.because, []).append(place)

    def branch(parent: int | None, indent: str) -> Iterator[str]:
        places = children.get(parent, [])
        shown = places if len(places) <= _MOST_CAUSES + 1 else places[:_MOST_CAUSES]
        for place in shown:
            last = place == places[-1]
            yield indent + ("└─ " if last else "├─ ") + _cause(causes[place])
            yield from branch(place, indent + ("   " if last else "│  "))
        if len(shown) < len(places):
            yield f"{indent}└─ and {_count(len(places) - len(shown), 'cause')} more, of fewer runs each: {_ELSEWHERE}"

    yield from branch(None, "  ")


def _cause(cause: Cause) -> str:
    words = f"{_count(cause.runs, 'run')}: {cause.title}"
    return f"{words}  -> {cause.playbook}" if cause.playbook else words


def waves_in_words(plan: Plan) -> Iterator[str]:
    """A line for each wave and what is done in it; of very many, for the first and the last ones."""
    waves = list(enumerate(plan.waves, start=1))
    if len(waves) <= _MOST_WAVES + 1:
        yield from _waves(plan, waves)
        return
    yield from _waves(plan, waves[: _MOST_WAVES // 2])
    yield f"  and {len(waves) - _MOST_WAVES} waves between: {_ELSEWHERE}"
    yield from _waves(plan, waves[-_MOST_WAVES // 2 :])


def warnings_in_words(plan: Plan) -> Iterator[str]:
    yield from (f"  ! {warning}" for warning in plan.warnings[:_MOST_WARNINGS])
    if len(plan.warnings) > _MOST_WARNINGS:
        yield f"  and {_count(len(plan.warnings) - _MOST_WARNINGS, 'warning')} more: {_ELSEWHERE}"


def _waves(plan: Plan, waves: Iterable[tuple[int, Sequence[int]]]) -> Iterator[str]:
    for number, places in waves:
        members = [plan.instances[place] for place in places]
        for action, words in _ACTIONS.items():
            these = [each for each in members if each.action is action]
            if these:
                yield f"  wave {number}: {words} {_members(these)}"
        for event in plan.queued_events:
            if event.wave == number - 1:
                yield f"  wave {number}: then delete the event of {event.asset} that {event.dag} has queued"


def _members(members: list[PlannedInstance]) -> str:
    runs = {each.of for each in members}
    by_dag: dict[str, set[str]] = {}
    tasks: dict[str, set[str]] = {}
    for each in members:
        by_dag.setdefault(each.dag, set()).add(each.run)
        tasks.setdefault(each.dag, set()).add(each.task)
    if len(by_dag) == 1:
        [dag] = by_dag
        names = f"{dag}: {_names(sorted(tasks[dag]))}"
    else:
        names = _names([f"{dag} ({len(each)})" if len(each) > 1 else dag for dag, each in sorted(by_dag.items())])
    forced = sum(each.force for each in members)
    end = f", {forced} with force" if forced else ""
    return f"{_count(len(members), 'task instance')} of {_count(len(runs), 'run')}{end}: {names}"


def left_in_words(left: Sequence[LeftAlone]) -> Iterator[str]:
    """What is left alone, the same of several runs in one line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for each in left:
        groups.setdefault((each.dag, each.task, each.why), []).append(each.run)
    lines = []
    for (dag, task, why), runs in groups.items():
        what = f"{dag}.{task}" if task else dag
        named = f" ({runs[0]})" if len(runs) == 1 and runs[0] else f" ({len(runs)} runs)" if len(runs) > 1 else ""
        lines.append(f"  {what}{named}: {why}")
    yield from lines[:_MOST_LEFT]
    if len(lines) > _MOST_LEFT:
        yield f"  and {len(lines) - _MOST_LEFT} more: {_ELSEWHERE}"


def _load(plan: Plan) -> Iterator[str]:
    load = plan.load
    pools = ", ".join(
        f"{each.pool} {each.wanted} of {'any number of' if each.slots is None else each.slots} slots"
        for each in load.pools
    )
    clusters = f"; {_count(load.clusters, 'cluster')} would start" if load.clusters else ""
    yield f"  at most {_count(load.tasks, 'task')} at once" + (f" ({pools})" if pools else "") + clusters
    for each in load.pools:
        if each.slots is not None and each.wanted > each.slots:
            yield f"  {each.pool} has fewer slots: tasks will queue; `apply --parallel N` asks for fewer at once"


def _names(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(every[:_MOST_NAMES])
    return shown if len(every) <= _MOST_NAMES else f"{shown} and {len(every) - _MOST_NAMES} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
