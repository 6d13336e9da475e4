"""What becomes of a task after tasks in these states, as Airflow's scheduler has it."""

from __future__ import annotations

import pytest
from airflow.sdk import TriggerRule

from sluicegate.testing.trigger_rule import FAILED, MISSING, SKIPPED, SUCCESS, UPSTREAM_FAILED, verdict

RUNS = None


@pytest.mark.parametrize("rule", [rule.value for rule in TriggerRule])
def test_every_rule_is_known_and_lets_a_first_task_run(rule: str) -> None:
    assert verdict(rule, []) is RUNS


@pytest.mark.parametrize(
    ("rule", "good", "skipped", "failed", "mixed"),
    [
        ("all_success", RUNS, SKIPPED, UPSTREAM_FAILED, UPSTREAM_FAILED),
        ("all_failed", SKIPPED, SKIPPED, RUNS, SKIPPED),
        ("all_done", RUNS, RUNS, RUNS, RUNS),
        ("all_done_min_one_success", RUNS, SKIPPED, UPSTREAM_FAILED, SKIPPED),
        ("all_skipped", SKIPPED, RUNS, SKIPPED, SKIPPED),
        ("always", RUNS, RUNS, RUNS, RUNS),
        ("none_failed", RUNS, RUNS, UPSTREAM_FAILED, UPSTREAM_FAILED),
        ("none_failed_min_one_success", RUNS, SKIPPED, UPSTREAM_FAILED, UPSTREAM_FAILED),
        ("none_skipped", RUNS, SKIPPED, RUNS, SKIPPED),
        ("one_done", RUNS, SKIPPED, RUNS, RUNS),
        ("one_failed", SKIPPED, SKIPPED, RUNS, RUNS),
        ("one_success", RUNS, SKIPPED, UPSTREAM_FAILED, RUNS),
    ],
)
def test_rules(rule: str, good: str | None, skipped: str | None, failed: str | None, mixed: str | None) -> None:
    assert verdict(rule, [SUCCESS, SUCCESS]) == good
    assert verdict(rule, [SKIPPED]) == skipped
    assert verdict(rule, [FAILED]) == failed
    assert verdict(rule, [SUCCESS, SKIPPED, FAILED]) == mixed


def test_a_missing_wait_keeps_nothing_from_running() -> None:
    assert verdict("all_success", [MISSING, SUCCESS]) is RUNS


def test_a_teardown_runs_when_one_of_its_setups_has() -> None:
    rule = "all_done_setup_success"
    assert verdict(rule, [SUCCESS, FAILED], [SUCCESS]) is RUNS
    assert verdict(rule, [SKIPPED, SKIPPED], [SKIPPED]) == SKIPPED
    assert verdict(rule, [FAILED, UPSTREAM_FAILED], [FAILED]) == UPSTREAM_FAILED
