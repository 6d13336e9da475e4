"""Schedules of crashes, lost answers, changes by others and two operators, with `EVERY_CRASH=1` 12,000; and that they
notice what is broken.

Each evaluator that is broken on purpose here is found by the same schedules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sluicegate.recovery import carry_out, effects, evaluate, journal, marker
from sluicegate.recovery.layout import Layout
from tests.recovery.simulation import MemoryStore, check, play

SCHEDULES, PARTS = 12_000 if os.environ.get("EVERY_CRASH") == "1" else 4_000, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_each_instance_is_reset_once_in_order_and_none_is_forgotten(part: int) -> None:
    size = SCHEDULES // PARTS
    for seed in range(part * size, (part + 1) * size):
        assert (seed, check(play(seed))) == (seed, [])


_judge = evaluate.judge
_make_sure = effects.Effects._make_sure
_take = marker.Marker.take.__func__  # type: ignore[attr-defined]
_layout = Layout.__init__


def _no_note(planned: Any, seen: Any, **known: Any) -> Any:
    return _judge(planned, seen and replace(seen, note=""), **known)


def _no_id(planned: Any, seen: Any, **known: Any) -> Any:
    is_ours = seen is not None and seen.note.startswith(evaluate.sign(known["plan"]))
    return _judge(planned if is_ours else replace(planned, id=seen.id, state=seen.state), seen, **known)


def _no_state(planned: Any, seen: Any, **known: Any) -> Any:
    return _judge(replace(planned, state=seen.state), seen, **known)


def _no_intent(planned: Any, seen: Any, **known: Any) -> Any:
    return _judge(planned, seen, **{**known, "asked": None})


def _no_mark(planned: Any, seen: Any, **known: Any) -> Any:
    return _judge(planned, seen, **{**known, "below_mark": False})


def _all_ours(planned: Any, seen: Any, **known: Any) -> Any:
    is_new = seen.id != planned.id and planned.action == "clear"
    return _judge(planned, replace(seen, note=evaluate.sign(known["plan"])) if is_new else seen, **known)


def _no_patience(self: Any, run: Any, group: Any) -> None:
    self._unsure_until = -1
    _make_sure(self, run, group)


def _always_mine(cls: Any, *arguments: Any, dead: Any = (), take_over: bool = False) -> Any:
    return _take(cls, *arguments, dead=dead, take_over=True)


def _backwards(self: Any, plan: Any) -> None:
    _layout(self, plan)
    self.groups.reverse()


BROKEN: dict[str, tuple[Any, str, Any]] = {
    "no intent in the journal": (journal.Journal, "ask", lambda *_, **__: None),
    "the intent is not looked at": (effects, "judge", _no_intent),
    "no look after an error": (effects.Effects, "_is_settled", lambda *_: True),
    "no patience with a lost request": (effects.Effects, "_make_sure", _no_patience),
    "the note is not looked at": (effects, "judge", _no_note),
    "the id is not compared": (effects, "judge", _no_id),
    "the state is not compared": (effects, "judge", _no_state),
    "any other id is taken for ours": (effects, "judge", _all_ours),
    "a reset below a mark is not known": (effects, "judge", _no_mark),
    "the marker is ignored": (marker.Marker, "take", classmethod(_always_mine)),
    "waves from the last to the first": (Layout, "__init__", _backwards),
    "a wave is not waited for": (carry_out._CarryOut, "_is_over", lambda *_: True),
    "nothing is held back": (effects, "held_back", lambda *_: {}),
    "a lost clear is not mended": (effects.Effects, "requeue", lambda *_: None),
    "a failure does not stop it": (carry_out._CarryOut, "_must_stop", lambda _: False),
    "half a line stays in the journal": (MemoryStore, "cut", lambda *_: None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_schedules_notice_when(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead = BROKEN[what]
    monkeypatch.setattr(where, name, instead)
    assert _first_noticed(play) is not None


KEEN = (0, 1, 2, 4, 14, 36, 41, 75, 135, 381, 1307)
"""Schedules that have noticed what is broken, tried first: that most seeds notice nothing costs seconds."""


def _first_noticed(played: Callable[[int], Any]) -> int | None:
    for seed in (*KEEN, *range(4000)):
        try:
            if check(played(seed)):
                return seed
        except Exception:
            return seed
    return None
