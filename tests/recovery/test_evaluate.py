"""What an instance's look in Airflow means for a plan."""

from __future__ import annotations

import pytest

from sluicegate.recovery.definition import Action, InstanceKey, PlannedInstance
from sluicegate.recovery.evaluate import is_marked, judge, note, sign
from sluicegate.recovery.progress import Status
from sluicegate.recovery.site import Seen

KEY = InstanceKey("flights", "r1", "load")
OURS = note("rp-1", 0, "ada", "the source was late")


def planned(action: Action = Action.CLEAR, state: str = "failed") -> PlannedInstance:
    return PlannedInstance("flights", "r1", "load", -1, "id-1", state, 1, 0, "it failed", action=action)


def seen(id_: str, state: str | None, note_: str = "") -> Seen:
    return Seen(KEY, id_, state, 1, note_)


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (seen("id-1", "failed"), Status.READY),
        (seen("id-1", "success"), Status.CHANGED),
        (seen("id-2", "failed"), Status.CHANGED),
        (seen("id-2", "failed", "I have seen this."), Status.CHANGED),
        (seen("id-2", "failed", note("rp-2", 0, "bob", "another plan")), Status.CHANGED),
        (seen("id-2", None, OURS), Status.UNDER_WAY),
        (seen("id-2", "up_for_retry", OURS), Status.UNDER_WAY),
        (seen("id-2", "restarting", OURS), Status.UNDER_WAY),
        (seen("id-2", "success", OURS), Status.DONE),
        (seen("id-3", "skipped", OURS), Status.DONE),
        (seen("id-2", "failed", OURS), Status.FAILED),
        (seen("id-2", "upstream_failed", OURS), Status.FAILED),
        (seen("id-2", "removed", OURS), Status.CHANGED),
        (None, Status.CHANGED),
    ],
)
def test_an_instance_is_known_by_its_id_its_state_and_the_plans_note(shown: Seen | None, status: Status) -> None:
    assert judge(planned(), shown, plan="rp-1").status is status


def test_without_an_answer_an_untouched_instance_is_unsure() -> None:
    assert judge(planned(), seen("id-1", "failed"), plan="rp-1", asked="id-1").status is Status.UNSURE
    assert judge(planned(), seen("id-1", "failed"), plan="rp-1", asked="id-0").status is Status.READY


def test_with_an_answer_the_note_may_have_been_replaced() -> None:
    replaced = seen("id-2", "running", "I have seen this.")
    assert judge(planned(), replaced, plan="rp-1", answered=True).status is Status.UNDER_WAY


def test_what_looks_as_before_its_reset_is_not_reset_again() -> None:
    assert judge(planned(), seen("id-1", "failed"), plan="rp-1", answered=True).status is Status.CHANGED


def test_below_a_mark_airflow_has_reset_it() -> None:
    assert judge(planned(), seen("id-2", None), plan="rp-1", below_mark=True).status is Status.UNDER_WAY
    assert judge(planned(), seen("id-2", "upstream_failed"), plan="rp-1", below_mark=True).status is Status.READY


def test_what_somebody_else_marked_is_not_this_plans_mark() -> None:
    mark = planned(Action.MARK_SUCCESS)
    assert is_marked(mark, seen("id-1", "success", OURS), plan="rp-1")
    assert is_marked(mark, seen("id-1", "success"), plan="rp-1", answered=True)
    assert not is_marked(mark, seen("id-1", "success"), plan="rp-1")
    assert not is_marked(mark, seen("id-1", "failed", OURS), plan="rp-1")


def test_a_mark_that_was_set_back_is_left_alone() -> None:
    mark = planned(Action.MARK_SUCCESS)
    assert judge(mark, seen("id-1", "failed"), plan="rp-1").status is Status.READY
    assert judge(mark, seen("id-1", "success", OURS), plan="rp-1").status is Status.DONE
    assert judge(mark, seen("id-1", "failed", OURS), plan="rp-1").status is Status.CHANGED


def test_a_note_says_plan_wave_who_and_why_and_is_never_too_long() -> None:
    assert OURS == "sluicegate recovery rp-1, wave 1, by ada: the source was late"
    assert OURS.startswith(sign("rp-1"))
    assert len(note("rp-1", 0, "ada", "x" * 2000)) == 1000
