"""What a look has found, and looks that do not stop each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sluicegate.faults import FaultError, classify

__all__ = [
    "Finding",
    "Look",
    "Status",
    "Unfit",
    "as_json",
    "exit_code",
    "fail",
    "looked",
    "ok",
    "skipped",
    "unanswered",
    "warn",
]

_MAY_NOT_LOOK = frozenset({"AWS_DENIED"})
_REACH = "Does this machine reach it: is it up, is the address right, is a firewall or a proxy between?"
_UNREACHED = frozenset({"AWS_UNAVAILABLE", "AWS_THROTTLED", "NETWORK", "TIMED_OUT"})


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """`check` is what was looked at, `detail` what was seen, `remedy` what to do about it.

    `reached`: False for a look that was not answered.
    """

    check: str
    status: Status
    detail: str
    remedy: str = ""
    reached: bool = True


Look = Callable[[], Iterable[Finding]]


def ok(check: str, detail: str) -> Finding:
    return Finding(check, Status.OK, detail)


def warn(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, Status.WARN, detail, remedy)


def fail(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, Status.FAIL, detail, remedy)


def skipped(check: str, detail: str, remedy: str = "") -> Finding:
    return Finding(check, Status.SKIPPED, detail, remedy)


class Unfit(Exception):  # noqa: N818 - a state
    """What a look was answered that it cannot use; `remedy` and `reached` are those of the finding."""

    def __init__(self, detail: str, remedy: str, *, reached: bool) -> None:
        super().__init__(detail)
        self.detail, self.remedy, self.reached = detail, remedy, reached


def unanswered(check: str, seconds: float) -> Finding:
    return Finding(check, Status.FAIL, f"no answer within {seconds:g} s", _REACH, reached=False)


def looked(check: str, look: Look) -> Iterator[Finding]:
    """What `look` finds; an error of its own is one more finding.

    A look that is not allowed is skipped: a step does not need every permission.
    """
    try:
        yield from look()
    except Unfit as unfit:
        yield Finding(check, Status.FAIL, unfit.detail, unfit.remedy, reached=unfit.reached)
    except Exception as error:
        found = classify(error)
        if found.code in _MAY_NOT_LOOK:
            yield skipped(check, f"not allowed to look: {found.detail}", "Allow it (`sluicegate doctor --policy`).")
        else:
            yield _failed(check, found)


def _failed(check: str, found: FaultError) -> Finding:
    bug = found.code in ("UNKNOWN", "CODE_BROKEN")
    reached = found.code not in _UNREACHED
    remedy = "This look itself failed: please report it." if bug else found.fault.remedy if reached else _REACH
    return Finding(check, Status.FAIL, found.detail or str(found), remedy, reached=reached)


def exit_code(findings: Sequence[Finding]) -> int:
    """0: nothing failed. 3: what failed did not answer. 1: anything else failed."""
    failed = [one for one in findings if one.status is Status.FAIL]
    if not failed:
        return 0
    return 1 if any(one.reached for one in failed) else 3


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(one) for one in findings]
