from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.wait.verdict import Outcome, Sighting, state_of_all, verdict

STATES = st.sampled_from([None, "queued", "running", "success", "failed", "upstream_failed", "skipped", "deferred"])
SIGHTINGS = st.lists(
    st.builds(Sighting, what=st.just("w"), run_id=st.just("r"), state=STATES, uncounted=st.sampled_from(["", "dry"])),
    min_size=1,
)


def test_ready_only_when_all_have_succeeded() -> None:
    one = Sighting("monday", "run1", "success")
    assert verdict([one]).outcome is Outcome.READY
    assert verdict([one, Sighting("tuesday")]).outcome is Outcome.WAITING


def test_a_dry_run_that_succeeded_does_not_count() -> None:
    seen = verdict([Sighting("monday", "run1", "success", "it was a dry run")])
    assert seen.outcome is Outcome.WAITING
    assert "dry run" in str(seen)


def test_a_failed_upstream_is_waited_for_unless_told_to_fail() -> None:
    seen = [Sighting("monday", "run1", "failed"), Sighting("tuesday", "run2", "success")]
    assert verdict(seen).outcome is Outcome.WAITING
    assert verdict(seen, fail_fast=True).outcome is Outcome.FAILED


@given(SIGHTINGS, st.booleans())
def test_the_verdict_follows_from_the_sightings(seen: list[Sighting], fail_fast: bool) -> None:
    result = verdict(seen, fail_fast=fail_fast)
    all_there = all(each.state == "success" and not each.uncounted for each in seen)
    failed = any(each.state in ("failed", "upstream_failed") for each in seen)
    if all_there:
        assert result.outcome is Outcome.READY
    elif fail_fast and failed:
        assert result.outcome is Outcome.FAILED
    else:
        assert result.outcome is Outcome.WAITING
    assert (not result.open) == all_there


def test_the_text_names_what_is_missing_and_its_state() -> None:
    text = str(
        verdict(
            [
                Sighting("2026-01-01", "r1", "success"),
                Sighting("2026-01-02"),
                Sighting("2026-01-03", "r3", "failed"),
            ]
        )
    )
    assert text == "2026-01-02: no run yet; 2026-01-03: failed (run r3)"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, None),
        ({"a": None}, None),
        ({"a": "success"}, "success"),
        ({"a_0": "success", "a_1": "running"}, "running"),
        ({"a_0": "running", "a_1": "failed"}, "failed"),
        ({"a_0": "success", "a_1": None}, None),
        ({"a_0": "success", "a_1": "removed"}, "success"),
        ({"a_0": "removed"}, None),
    ],
)
def test_a_mapped_step_has_one_state(states: dict[str, str | None], expected: str | None) -> None:
    assert state_of_all(states) == expected
