"""What to say of an outcome: each failure with its fault and the playbook's section, and what was left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.api.errors import ApiError
from sluicegate.recovery.definition import InstanceKey, Plan
from sluicegate.recovery.progress import Finding, Outcome

__all__ = ["Failure", "as_json", "failures", "lines"]

LastError = Callable[[InstanceKey], Mapping[str, object]]
_MOST = 20


@dataclass(frozen=True)
class Failure:
    """What was reset and failed again. What is not a fault of the catalogue has no code."""

    key: InstanceKey
    state: str | None
    code: str = ""
    detail: str = ""
    playbook: str = ""


def failures(outcome: Outcome, last_error: LastError) -> tuple[Failure, ...]:
    """Each failure, with what its step has left about it; one that cannot be asked for is not."""
    return tuple(_failure(each, last_error) for each in outcome.failed)


def lines(plan: Plan, outcome: Outcome, failed: tuple[Failure, ...]) -> Iterator[str]:
    """An outcome in words."""
    counts = [
        f"{len(outcome.done)} done",
        *_count(len(outcome.failed), "failed again"),
        *_count(len(outcome.changed), "touched by somebody else"),
        *_count(len(outcome.held_back), "held back"),
        *_count(len(outcome.not_reached), "not reached or still under way"),
    ]
    yield f"{plan.id}: {', '.join(counts)}"
    for each in failed[:_MOST]:
        fault = f": {each.code}" if each.code else ""
        yield f"  {each.state} {each.key}{fault}"
        if each.detail:
            yield f"    {each.detail.splitlines()[0]}"
        if each.playbook:
            yield f"    -> {each.playbook}"
    yield from _more(len(failed))
    for title, found in (("left alone", outcome.changed), ("held back", outcome.held_back)):
        yield from (f"  {title} {each.key}: {each.why}{_now(each)}" for each in found[:_MOST])
        yield from _more(len(found))
    yield from (f"  ! {each}" for each in outcome.warnings)
    if not outcome.is_finished:
        yield "  Mend what failed, then make a new plan: it has what failed again and what was not reached."


def as_json(plan: Plan, outcome: Outcome, failed: tuple[Failure, ...]) -> dict[str, Any]:
    def named(key: InstanceKey) -> dict[str, Any]:
        return {"dag": key.dag, "run": key.run, "task": key.task, "index": key.index}

    def found(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
        return [{**named(each.key), "state": each.state, "why": each.why} for each in findings]

    return {
        "plan": plan.id,
        "finished": outcome.is_finished,
        "good": outcome.is_good,
        "done": list(map(named, outcome.done)),
        "failed": [
            {
                **named(each.key),
                "state": each.state,
                "code": each.code,
                "detail": each.detail,
                "playbook": each.playbook,
            }
            for each in failed
        ],
        "changed": found(outcome.changed),
        "held_back": found(outcome.held_back),
        "not_reached": list(map(named, outcome.not_reached)),
        "warnings": list(outcome.warnings),
    }


def _failure(finding: Finding, last_error: LastError) -> Failure:
    failure = Failure(finding.key, finding.state)
    if finding.state != "failed":
        return failure
    try:
        found = last_error(finding.key)
    except ApiError:
        return failure
    code = str(found.get("code") or "")
    if not code:
        return failure
    detail = str(found.get("detail") or "")
    return Failure(finding.key, finding.state, code, detail, str(found.get("read_on") or ""))


def _count(number: int, words: str) -> list[str]:
    return [f"{number} {words}"] if number else []


def _more(number: int) -> Iterator[str]:
    if number > _MOST:
        yield f"  and {number - _MOST} more: --json lists them"


def _now(finding: Finding) -> str:
    return "; it is success now" if finding.state == "success" and "success" not in finding.why else ""
