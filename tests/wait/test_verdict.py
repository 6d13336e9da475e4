from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.pipeline.keys.model import OnUpstreamSkipped
from sluicegate.wait.verdict import Outcome, Sighting, state_of_all, verdict

STATES = st.sampled_from([None, "queued", "running", "success", "failed", "upstream_failed", "skipped", "deferred"])
SIGHTINGS = st.lists(
    st.builds(
        Sighting,
        what=st.just("w"),
        run_id=st.just("r"),
        state=STATES,
        uncounted=st.sampled_from(["", "dry"]),
        run_failed=st.booleans(),
    ),
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


@given(SIGHTINGS, st.booleans(), st.sampled_from(OnUpstreamSkipped))
def test_the_verdict_follows_from_the_sightings(
    seen: list[Sighting], fail_fast: bool, on_skipped: OnUpstreamSkipped
) -> None:
    result = verdict(seen, fail_fast=fail_fast, on_skipped=on_skipped)
    success = [each.state == "success" and not each.uncounted for each in seen]
    skipped = [each.state == "skipped" and not each.uncounted and not each.run_failed for each in seen]
    done = [a or (b and on_skipped is not OnUpstreamSkipped.WAIT) for a, b in zip(success, skipped, strict=True)]
    missing = [each for each, is_done in zip(seen, done, strict=True) if not is_done]
    failed = any(each.state in ("failed", "upstream_failed") or each.run_failed for each in missing)
    if all(done):
        is_skipped = on_skipped is OnUpstreamSkipped.SKIP and all(skipped)
        assert result.outcome is (Outcome.SKIPPED if is_skipped else Outcome.READY)
    elif fail_fast and failed:
        assert result.outcome is Outcome.FAILED
    else:
        assert result.outcome is Outcome.WAITING
    assert (not result.open) == all(success)


@pytest.mark.parametrize(
    ("states", "skip", "run", "wait"),
    [
        (["skipped"], "skipped", "ready", "waiting"),
        (["skipped", "skipped"], "skipped", "ready", "waiting"),
        (["success", "skipped"], "ready", "ready", "waiting"),
        (["skipped", "running"], "waiting", "waiting", "waiting"),
        (["skipped", None], "waiting", "waiting", "waiting"),
        (["skipped", "failed"], "waiting", "waiting", "waiting"),
    ],
)
def test_a_skip_is_an_answer_as_the_file_says(states: list[str | None], skip: str, run: str, wait: str) -> None:
    seen = [Sighting(f"w{index}", f"r{index}", state) for index, state in enumerate(states)]
    by_rule = [verdict(seen, on_skipped=rule).outcome.value for rule in OnUpstreamSkipped]
    assert by_rule == [skip, run, wait]


def test_a_skip_in_a_run_that_failed_is_a_failure() -> None:
    seen = [Sighting("monday", "run1", "skipped", run_failed=True)]
    assert verdict(seen, on_skipped=OnUpstreamSkipped.RUN).outcome is Outcome.WAITING
    assert verdict(seen, fail_fast=True).outcome is Outcome.FAILED
    assert str(seen[0]) == "monday: skipped in a run that failed (run run1)"


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
        ({"a_0": "success", "a_1": "skipped"}, "success"),
        ({"a_0": "skipped", "a_1": "running"}, "running"),
        ({"a_0": "skipped", "a_1": "failed"}, "failed"),
        ({"a_0": "skipped", "a_1": "skipped", "a_2": "removed"}, "skipped"),
        ({"a": "skipped"}, "skipped"),
        ({"a_0": "removed"}, "skipped"),
        ({"a": "removed"}, None),
    ],
)
def test_a_mapped_step_has_one_state(states: dict[str, str | None], expected: str | None) -> None:
    assert state_of_all(states, "a") == expected
