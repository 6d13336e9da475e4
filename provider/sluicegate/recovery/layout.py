"""A plan as it is walked through: by wave and run, and what comes before what. Lookups only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey, Plan, QueuedEvent, RunKey

__all__ = ["Layout"]


class Layout:
    """Places in `plan.instances`, found by what is asked of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.place: Mapping[InstanceKey, int] = {each.key: place for place, each in enumerate(plan.instances)}
        members: dict[tuple[RunKey, str], list[int]] = defaultdict(list)
        for place, each in enumerate(plan.instances):
            members[each.of, each.task].append(place)
        self._members = members

        def all_of(place: int) -> list[int]:
            """All instances of its task, if it is mapped."""
            each = plan.instances[place]
            return members[each.of, each.task] if each.index >= 0 else [place]

        # An edge is one of all instances of its tasks: these share what is before and behind them.
        before: dict[int, set[int]] = {}
        within: dict[int, set[int]] = {}
        for edge in plan.edges:
            first, second = all_of(edge.before), all_of(edge.after)
            _share(before, second).update(first)
            if edge.kind is EdgeKind.TASK:
                _share(within, first).update(second)
        self.before: Mapping[int, Collection[int]] = before
        self.groups: list[dict[RunKey, list[int]]] = [{} for _ in plan.waves]
        """By wave and run, the places that are reset together."""
        for place, each in enumerate(plan.instances):
            self.groups[each.wave].setdefault(each.of, []).append(place)
        self.marks_above: Mapping[int, set[int]] = self._marks_above(within)
        """By place, the places of what is marked upstream of it in its run."""

    def canaries(self, wave: int, tried: set[int]) -> list[RunKey]:
        """The first run of each cause that is not in `tried`, which gets them."""
        chosen: dict[RunKey, None] = {}
        for place in self.plan.waves[wave]:
            each = self.plan.instances[place]
            if each.cause is not None and each.cause not in tried:
                tried.add(each.cause)
                chosen[each.of] = None
        return list(chosen)

    def emitters(self, event: QueuedEvent) -> Iterator[int]:
        """The places of what emits into `event.dag`, up to the event's wave."""
        for edge in self.plan.edges:
            before, after = self.plan.instances[edge.before], self.plan.instances[edge.after]
            if edge.kind is EdgeKind.ASSET and after.dag == event.dag and before.wave <= event.wave:
                yield edge.before

    def _marks_above(self, within: Mapping[int, Collection[int]]) -> Mapping[int, set[int]]:
        found: dict[int, set[int]] = {}
        marks: dict[tuple[RunKey, str], list[int]] = defaultdict(list)
        for place, each in enumerate(self.plan.instances):
            if each.action is not Action.CLEAR:
                marks[each.of, each.task].append(place)
        for places in marks.values():
            seen: set[tuple[RunKey, str]] = set()
            left = list(within.get(places[0], ()))
            while left:
                below = self.plan.instances[left.pop()]
                if (below.of, below.task) not in seen:
                    seen.add((below.of, below.task))
                    siblings = self._members[below.of, below.task]
                    _share(found, siblings).update(places)
                    left += within.get(siblings[0], ())
        return found


def _share(sets: dict[int, set[int]], places: Collection[int]) -> set[int]:
    """The set that all these places have; the first time, they get one."""
    first = next(iter(places))
    if first not in sets:
        shared: set[int] = set()
        sets |= dict.fromkeys(places, shared)
    return sets[first]
