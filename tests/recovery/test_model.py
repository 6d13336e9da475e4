"""What the schedules that are held against the real Airflow would notice, and what the model shows without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sluicegate.recovery.evaluate import sign
from tests.recovery.model import AirflowModel, RunModel, Scenario, TaskModel
from tests.recovery.replay import ModelWorld, Schedule, played, schedules

_reset = AirflowModel._reset
_mark = AirflowModel.mark
_move = AirflowModel._move


def _keeps_its_id(self: AirflowModel, cell: Any) -> None:
    id_ = cell.id
    _reset(self, cell)
    cell.id = id_


def _resets_nothing(self: AirflowModel, *arguments: Any) -> None:
    below, self._below = self._below, lambda _: []  # type: ignore[method-assign]
    _mark(self, *arguments)
    self._below = below  # type: ignore[method-assign]


def _does_not_look_above(self: AirflowModel, cell: Any) -> None:
    if cell.state is None:
        cell.state = "queued"
    else:
        _move(self, cell)


WRONG: dict[str, tuple[str, Callable[..., Any]]] = {
    "a reset keeps the id": ("_reset", _keeps_its_id),
    "a mark resets nothing below it": ("mark", _resets_nothing),
    "a task does not look at those above it": ("_move", _does_not_look_above),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_replayed_schedules_notice_a_model_in_which(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = [played(each, ModelWorld(each)) for each in schedules()]
    monkeypatch.setattr(AirflowModel, *WRONG[what])
    assert [_played(each) for each in schedules()] != right


def _played(schedule: Schedule) -> Any:
    try:
        return played(schedule, ModelWorld(schedule))
    except Exception as error:
        return type(error)


def test_what_airflow_resets_below_a_mark_gets_the_note_of_the_plan() -> None:
    tasks = (
        TaskModel("call", state="failed", mark=True),
        TaskModel("after", ("call",), state="upstream_failed"),
        TaskModel("last", ("after",), state="upstream_failed"),
    )
    schedule = Schedule(1, Scenario((RunModel("parent", "r1", tasks),)))
    world = ModelWorld(schedule)
    found = played(schedule, world)
    assert set(found.states.values()) == {"success"}
    assert all(cell.note.startswith(sign(world.plan.id)) for cell in world.airflow.cells.values())
