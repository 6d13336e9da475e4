"""Puts what is chosen in order: the links between tasks, the wave of each, and what is done about cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from sluicegate.graph.order import CycleError, following, reached, waves
from sluicegate.recovery.chosen import GOES_ALONG, Choice, Chosen
from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey
from sluicegate.recovery.errors import PlanCycle
from sluicegate.recovery.night import Details, Night
from sluicegate.recovery.relations import Link, links_of

__all__ = ["ordered"]


def ordered(
    chosen: Chosen, night: Night, details: Details, known: Sequence[Link]
) -> tuple[list[Link], dict[InstanceKey, int]]:
    """The links between what is chosen, and the wave of each task. What was only supposed of the order within runs may
    be a cycle: then the tasks of the DAGs in it are asked for. What is still only supposed then is given up.
    """
    tasks = {key.whole for key in chosen.choices}
    exact: set[str] = set()
    given_up = _GivenUp(night)
    between: list[Link] = []
    is_known = False
    while True:
        if not is_known:
            found = [*known, *links_of(chosen.choices, night, details, exact=exact)]
            between = sorted({link for link in found if link.before in tasks and link.after in tasks})
        is_known = True
        links = [link for link in between if link not in given_up]
        links += _before_marks(chosen.choices, links)
        links += _before_setups(chosen.choices, links, details)
        links = [link for link in links if link not in given_up]
        try:
            return links, _waves(tasks, links)
        except CycleError as error:
            path = [each for each in error.path if isinstance(each, InstanceKey)]
            if not {each.dag for each in path} <= exact:
                exact |= {each.dag for each in path}
                is_known = False
                continue
            weak = given_up.take(path, links)
            if not weak:
                raise _cycle(path, links) from error
            chosen.warnings += [each for each in weak if each not in chosen.warnings]


class _GivenUp:
    """Weak links that would make a cycle."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._pairs: set[tuple[InstanceKey, InstanceKey]] = set()
        self._dags: set[tuple[str, str]] = set()

    def take(self, path: Sequence[InstanceKey], links: Iterable[Link]) -> list[str]:
        """Give up the weak ones on a path; what is to be said of them."""
        pairs = set(pairwise(path))
        weak = [each for each in links if each.weak and (each.before, each.after) in pairs]
        self._pairs |= {(each.before, each.after) for each in weak}
        sensors = [each for each in weak if each.kind in (EdgeKind.SENSOR, EdgeKind.DATASET)]
        self._dags |= {(each.before.dag, each.after.dag) for each in sensors}
        return [
            f"{each.before.dag} and {each.after.dag} wait for each other, and a sensor does not say at which date it "
            "looks: they are put in order by earlier dates alone"
            for each in sensors
        ]

    def __contains__(self, link: Link) -> bool:
        if not link.weak:
            return False
        if (link.before, link.after) in self._pairs:
            return True
        return (link.before.dag, link.after.dag) in self._dags and not self._is_earlier(link)

    def _is_earlier(self, link: Link) -> bool:
        first, second = (self._night.runs[each.of].logical_date for each in (link.before, link.after))
        return first is not None and second is not None and first < second


def _cycle(path: Sequence[InstanceKey], links: Iterable[Link]) -> PlanCycle:
    reasons = {(each.before, each.after): each.reason for each in links}
    said = dict.fromkeys(reasons[pair] for pair in pairwise(path) if pair in reasons)
    return PlanCycle(
        f"What is to be reset waits for itself: {' -> '.join(map(str, path))} ({'; '.join(said)}).",
        "Narrow the plan with --pipeline, --task or --window so that one of them is left out.",
    )


def _within_runs(links: Iterable[Link]) -> list[tuple[InstanceKey, InstanceKey]]:
    return [(each.before, each.after) for each in links if each.kind is EdgeKind.TASK]


def _between_runs(links: Iterable[Link]) -> dict[InstanceKey, list[Link]]:
    """By task, the links to it from other runs."""
    found: dict[InstanceKey, list[Link]] = {}
    for each in links:
        if each.kind is not EdgeKind.TASK:
            found.setdefault(each.after, []).append(each)
    return found


def _before_marks(choices: Mapping[InstanceKey, Choice], links: Sequence[Link]) -> list[Link]:
    """Airflow resets what failed after an instance in the moment in which that is marked: so what those wait for in
    other runs has to be there before the mark.
    """
    marked = {key.whole for key, each in choices.items() if each.action is not Action.CLEAR}
    after, apart = following(_within_runs(links)), _between_runs(links)
    return [
        Link(
            link.before, mark, link.kind, f"marking {mark.task} resets {behind.task} as well: {link.reason}", link.weak
        )
        for mark in sorted(marked)
        for behind in sorted(reached(after, [mark]))
        for link in apart.get(behind, ())
        if link.before.of != mark.of
    ]


def _before_setups(choices: Mapping[InstanceKey, Choice], links: Sequence[Link], details: Details) -> Iterator[Link]:
    """What is set up costs something as long as it is there: what its tasks wait for in other runs comes before it."""
    setups = {key.whole for key, each in choices.items() if each.why.endswith(GOES_ALONG)}
    if not setups:
        return
    within, apart = _within_runs(links), _between_runs(links)
    after = following(within)
    before = following([(second, first) for first, second in within])
    for setup in sorted(setups):
        tasks = details.tasks(setup.dag)
        if setup.task not in tasks or tasks[setup.task].role != "setup":
            continue
        teardowns = {replace(setup, task=name) for name in tasks[setup.task].after if tasks[name].role == "teardown"}
        later: set[InstanceKey] = reached(after, [setup])
        scope = [each for each in sorted(later) if each in teardowns or reached(after, [each]).intersection(teardowns)]
        for needed in sorted({*scope, *reached(before, scope)} - {setup}):
            for link in apart.get(needed, ()):
                if link.before.of != setup.of:
                    yield Link(link.before, setup, link.kind, f"{setup.task} is needed later: {link.reason}", weak=True)


def _waves(tasks: Iterable[InstanceKey], links: Sequence[Link]) -> dict[InstanceKey, int]:
    together = _within_runs(links)
    beside = set(together)
    apart = [pair for each in links if (pair := (each.before, each.after)) not in beside]
    found = waves(apart, sorted(tasks), together=together)
    return {key: number for number, wave in enumerate(found) for key in wave}
