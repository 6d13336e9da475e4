from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.emr.attempt import LIVE_STATES, AlreadyDone, Found, Reconnect, Start, decide

DAY = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


@st.composite
def clusters(draw: st.DrawFn) -> list[Found]:
    found = []
    for n in range(draw(st.integers(0, 6))):
        state = draw(st.sampled_from([*LIVE_STATES, "TERMINATING", *ENDED]))
        found.append(
            Found(
                cluster_id=f"j-{n}",
                name="",
                attempt=draw(st.integers(1, 4)),
                state=state,
                created=DAY + timedelta(seconds=draw(st.integers(0, 3))),
                complete=state not in LIVE_STATES and draw(st.booleans()),
                ended_by_us=draw(st.booleans()),
                began=state != "STARTING" and draw(st.booleans()),
            )
        )
    return found


@given(clusters(), st.integers(0, 4), st.randoms(use_true_random=False))
def test_what_is_decided_does_not_depend_on_the_order_of_the_list(
    found: list[Found], finished: int, chance: Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert decide(found, finished_attempt=finished) == decide(shuffled, finished_attempt=finished)


@given(clusters(), st.integers(0, 4))
def test_at_most_one_cluster_is_left_running(found: list[Found], finished: int) -> None:
    decision = decide(found, finished_attempt=finished)
    kept = {decision.cluster} if isinstance(decision, Reconnect) else set()
    assert {c for c in found if c.runs} <= kept | set(decision.surplus)
    assert not kept & set(decision.surplus)
    assert all(c.runs for c in decision.surplus)


@given(clusters(), st.integers(0, 4))
def test_nothing_is_started_while_something_of_this_round_runs(found: list[Found], finished: int) -> None:
    decision = decide(found, finished_attempt=finished)
    running = [c for c in found if c.live and c.attempt > finished]
    if running:
        assert not isinstance(decision, Start)
        assert decision.cluster.complete or decision.cluster.created <= min(c.created for c in running)


@given(clusters(), st.integers(0, 4))
def test_a_started_attempt_has_a_name_that_no_cluster_had(found: list[Found], finished: int) -> None:
    decision = decide(found, finished_attempt=finished)
    if isinstance(decision, Start):
        assert decision.attempt > max([finished, *(c.attempt for c in found)])


@given(clusters(), st.integers(0, 4))
def test_done_is_only_what_is_complete_and_not_settled_before(found: list[Found], finished: int) -> None:
    decision = decide(found, finished_attempt=finished)
    if isinstance(decision, AlreadyDone):
        assert decision.cluster.complete
        assert decision.cluster.attempt > finished


def one(
    attempt: int, state: str, *, second: int = 0, complete: bool = False, ours: bool = False, began: bool = False
) -> Found:
    return Found(f"j-{attempt}-{second}", "", attempt, state, DAY + timedelta(seconds=second), complete, ours, began)


def test_two_live_clusters_the_older_is_kept_whoever_asks() -> None:
    older, younger = one(1, "STARTING", second=0), one(1, "RUNNING", second=1)
    assert decide([younger, older]) == Reconnect(older, (younger,))


def test_a_cluster_that_is_ending_well_is_waited_for() -> None:
    ending = one(1, "TERMINATING", complete=True)
    assert decide([ending]) == Reconnect(ending)


def test_a_cluster_that_is_ending_badly_is_not_waited_for() -> None:
    assert decide([one(1, "TERMINATING")]) == Start(2)


def test_a_finished_attempt_that_a_person_cleared_is_run_again() -> None:
    assert decide([one(1, "TERMINATED", complete=True)], finished_attempt=1) == Start(2)


def test_a_finished_attempt_that_nobody_reported_is_not_run_again() -> None:
    done = one(2, "TERMINATED", complete=True)
    assert decide([one(1, "TERMINATED", complete=True), done], finished_attempt=1) == AlreadyDone(done)


def test_a_later_failure_outweighs_an_earlier_success_if_it_began_to_write() -> None:
    done = one(1, "TERMINATED", complete=True)
    assert decide([done, one(2, "TERMINATED_WITH_ERRORS", began=True)]) == Start(3)
    assert decide([done, one(2, "TERMINATED_WITH_ERRORS")]) == AlreadyDone(done)


def test_a_later_cluster_that_runs_outweighs_an_earlier_success_if_it_began_to_write() -> None:
    done = one(1, "TERMINATED", complete=True)
    running, starting = one(2, "RUNNING", began=True), one(2, "STARTING")
    assert decide([done, running]) == Reconnect(running)
    assert decide([done, starting]) == AlreadyDone(done, (starting,))


def test_work_that_was_done_while_it_was_asked_to_end_counts() -> None:
    done = one(1, "TERMINATED", complete=True, ours=True)
    assert decide([done]) == AlreadyDone(done)


def test_a_cluster_that_was_marked_and_still_runs_is_ended_again() -> None:
    marked = one(1, "RUNNING", ours=True)
    assert decide([marked]) == Start(2, (marked,))


def test_a_duplicate_that_we_ended_does_not_hide_the_one_that_did_the_work() -> None:
    done = one(1, "TERMINATED", complete=True)
    assert decide([done, one(1, "TERMINATED", second=1, ours=True)]) == AlreadyDone(done)
