"""A plan as a picture: a box for each wave, a node for what is reset of a DAG in it, edges with their reasons."""

from __future__ import annotations

from sluicegate.picture.model import Box, EdgeKind, Line, Node, NodeKind, Picture
from sluicegate.picture.model import Edge as Arrow
from sluicegate.picture.palette import BLUE, GREEN, GREY
from sluicegate.recovery.definition import Action, Plan, PlannedInstance

__all__ = ["picture_of"]

_RESET = NodeKind("reset", BLUE, "reset")
_SUCCESS = NodeKind("success", GREEN, "marked as success", dashed=True)
_SKIPPED = NodeKind("skipped", GREY, "marked as skipped", dashed=True)
_KINDS = {Action.CLEAR: _RESET, Action.MARK_SUCCESS: _SUCCESS, Action.MARK_SKIPPED: _SKIPPED}
_LINES = {
    "task": EdgeKind("task", Line.DOTTED, "in one run"),
    "past": EdgeKind("past", Line.DASHED, "depends on past"),
    "trigger": EdgeKind("trigger", Line.DASHED, "started by"),
    "asset": EdgeKind("asset", Line.DASHED, "asset"),
    "sensor": EdgeKind("sensor", Line.SOLID, "waits for"),
    "dataset": EdgeKind("dataset", Line.SOLID, "reads"),
}
_MOST_TASKS = 3


def picture_of(plan: Plan) -> Picture:
    """A node for all runs of a DAG in a wave: twenty pipelines are twenty nodes, and so are thirty days of them."""
    groups: dict[tuple[int, str, Action], list[PlannedInstance]] = {}
    for each in plan.instances:
        groups.setdefault((each.wave, each.dag, each.action), []).append(each)
    name_of = {name: f"n{number}" for number, name in enumerate(groups)}
    boxes = []
    for number in range(len(plan.waves)):
        here = {name: each for name, each in groups.items() if name[0] == number}
        runs = len({each.of for members in here.values() for each in members})
        nodes = tuple(_node(name_of[name], name, members) for name, members in here.items())
        boxes.append(Box(f"w{number}", f"wave {number + 1}", nodes, detail="1 run" if runs == 1 else f"{runs} runs"))
    arrows: dict[Arrow, None] = {}
    for edge in plan.edges:
        first, second = plan.instances[edge.before], plan.instances[edge.after]
        tail = name_of[first.wave, first.dag, first.action]
        head = name_of[second.wave, second.dag, second.action]
        if tail != head:
            arrows[Arrow(tail, head, _LINES[edge.kind])] = None
    return Picture(boxes=tuple(boxes), edges=tuple(arrows))


def _node(name: str, of: tuple[int, str, Action], members: list[PlannedInstance]) -> Node:
    tasks = sorted({each.task for each in members})
    runs = len({each.of for each in members})
    shown = ", ".join(tasks[:_MOST_TASKS]) + (f" +{len(tasks) - _MOST_TASKS}" if len(tasks) > _MOST_TASKS else "")
    detail = shown if runs == 1 else f"{runs} runs: {shown}"
    return Node(
        name, _KINDS[of[2]], of[1], detail=detail, tooltip="\n".join(dict.fromkeys(each.why for each in members))
    )
