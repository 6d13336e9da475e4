"""What becomes of a task once all that is before it has ended: Airflow's trigger rules, without its scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

__all__ = ["FAILED", "MISSING", "SKIPPED", "SUCCESS", "UPSTREAM_FAILED", "verdict"]

SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED = "success", "failed", "skipped", "upstream_failed"
MISSING = "missing"
"""Of a wait alone: what it waits for is not there. What comes after it runs all the same."""

_Counts = Mapping[str, int]


def verdict(rule: str, before: Sequence[str], setups: Sequence[str] = ()) -> str | None:
    """`skipped` or `upstream_failed`; None when the task runs.

    :param rule: as Airflow names it
    :param before: the states of the tasks directly before it
    :param setups: those among them that are a setup's
    """
    if rule == "all_done_setup_success":
        return _after_setups(setups)
    counts: Counter[str] = Counter(SUCCESS if state == MISSING else state for state in before)
    return _RULES[rule](counts) if before else None


def _after_setups(setups: Sequence[str]) -> str | None:
    if not setups or SUCCESS in setups:
        return None
    return SKIPPED if set(setups) == {SKIPPED} else UPSTREAM_FAILED


def _failures(counts: _Counts) -> int:
    return counts[FAILED] + counts[UPSTREAM_FAILED]


def _all_success(counts: _Counts) -> str | None:
    if _failures(counts):
        return UPSTREAM_FAILED
    return SKIPPED if counts[SKIPPED] else None


def _none_failed(counts: _Counts) -> str | None:
    return UPSTREAM_FAILED if _failures(counts) else None


def _one_success(counts: _Counts) -> str | None:
    if counts[SUCCESS]:
        return None
    return UPSTREAM_FAILED if _failures(counts) else SKIPPED


def _none_failed_min_one_success(counts: _Counts) -> str | None:
    return _none_failed(counts) or _one_success(counts)


def _all_done_min_one_success(counts: _Counts) -> str | None:
    return SKIPPED if counts[SKIPPED] else _one_success(counts)


def _skipped_unless(runs: Callable[[_Counts], int | bool]) -> Callable[[_Counts], str | None]:
    return lambda counts: None if runs(counts) else SKIPPED


_RULES: Mapping[str, Callable[[_Counts], str | None]] = {
    "all_success": _all_success,
    "all_failed": _skipped_unless(lambda counts: not counts[SUCCESS] and not counts[SKIPPED]),
    "all_done": lambda counts: None,
    "all_done_min_one_success": _all_done_min_one_success,
    "all_skipped": _skipped_unless(lambda counts: not counts[SUCCESS] and not _failures(counts)),
    "always": lambda counts: None,
    "none_failed": _none_failed,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "none_skipped": _skipped_unless(lambda counts: not counts[SKIPPED]),
    "one_done": _skipped_unless(lambda counts: counts[FAILED] + counts[SUCCESS]),
    "one_failed": _skipped_unless(_failures),
    "one_success": _one_success,
}
