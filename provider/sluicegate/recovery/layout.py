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

        def all_of(place: int) -> list[int]:
            """All instances of its task, if it is mapped."""
            each = plan.instances[place]
            return members[each.of, each.task] if each.index >= 0 else [place]

        before: dict[int, set[int]] = defaultdict(set)
        within: dict[int, set[int]] = defaultdict(set)
        for edge in plan.edges:
            for after in all_of(edge.after):
                before[after].update(all_of(edge.before))
            if edge.kind is EdgeKind.TASK:
                for above in all_of(edge.before):
                    within[above].update(all_of(edge.after))
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
        found: dict[int, set[int]] = defaultdict(set)
        for place, each in enumerate(self.plan.instances):
            if each.action is Action.CLEAR:
                continue
            left = list(within.get(place, ()))
            while left:
                below = left.pop()
                if place not in found[below]:
                    found[below].add(place)
                    left += within.get(below, ())
        return found
