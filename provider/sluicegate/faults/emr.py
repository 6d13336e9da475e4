"""Why a cluster or its step ended, as a fault: by AWS's codes, then by its words, then by the log's last lines."""

from __future__ import annotations

import re

from sluicegate.faults.emr_codes import BY_ERROR_CODE, BY_STATE_REASON, FAMILIES, WORDS
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.spark_log import cause

__all__ = ["emr_fault"]

# Under these codes AWS puts whatever has no code of its own: the message knows more.
_VAGUE = frozenset({"CLUSTER_LOST", "CLUSTER_INVALID", "CLUSTER_BOOTSTRAP_FAILED"})
_STATUS = re.compile(r"exit ?(?:code|status) (\d+)", re.IGNORECASE)


def emr_fault(
    state_reason_code: str | None,
    error_code: str | None = None,
    step_failure_reason: str | None = None,
    message: str | None = None,
    log_tail: str | None = None,
    exit_status: int | None = None,
) -> FaultError:
    """The fault behind a cluster that did not end well.

    :param state_reason_code: `Cluster.Status.StateChangeReason.Code`, e.g. `STEP_FAILURE`
    :param error_code: the first of `Cluster.Status.ErrorDetails[].ErrorCode`, which says more
    :param step_failure_reason: `Step.Status.FailureDetails.Reason`
    :param message: whatever words AWS gave (the state change reason's, the step's failure details')
    :param log_tail: the last lines of the failed step's stdout and stderr
    :param exit_status: what the step's command ended with
    """
    code, reason = error_code or "", state_reason_code or ""
    words = " ".join(part for part in (step_failure_reason, message) if part)
    facts: dict[str, object] = {"state_reason": state_reason_code, "error_code": error_code}
    if step_failure_reason:
        facts["step_failure_reason"] = step_failure_reason
    found = _by_code(code, reason, words)
    if found is None and (step_failure_reason or log_tail):
        found = "SPARK_STEP_FAILED"
    if found == "SPARK_STEP_FAILED":
        return _step_fault(words, log_tail or "", exit_status, facts)
    shown = words if code or reason in words else f"{reason} {words}"
    return fault(found or "CLUSTER_LOST", " ".join(part for part in (code, shown.strip()) if part), **facts)


def _by_code(code: str, reason: str, words: str) -> str | None:
    if code in BY_ERROR_CODE:
        return BY_ERROR_CODE[code]
    found = next((fault for family, fault in FAMILIES if family in code.upper()), None) or BY_STATE_REASON.get(reason)
    if found in _VAGUE or (found is None and not code):
        return next((fault for pattern, fault in WORDS if pattern.search(words)), found)
    return found or ("CLUSTER_LOST" if code else None)


def _step_fault(words: str, log_tail: str, exit_status: int | None, facts: dict[str, object]) -> FaultError:
    status = exit_status
    if status is None and (said := _STATUS.search(words)):
        status = int(said[1])
    found = cause(words, log_tail, status)
    if status is not None:
        facts["exit_status"] = status
    if found.signal:
        facts["signal"] = found.signal
    return fault(found.code, found.line or "its log is not there yet", **facts)
