"""Why a cluster or its step ended, as a fault: by AWS's codes, then by the log's last lines."""

from __future__ import annotations

import re

from sluicegate.faults.errors import FaultError, fault

__all__ = ["emr_fault"]

# AWS's codes are families with details after them (`INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ`): the words
# in them decide, and the first match counts.
_BY_CODE = (
    ("STEP_FAILURE", "SPARK_STEP_FAILED"),
    ("INSUFFICIENT_CAPACITY", "CLUSTER_CAPACITY"),
    ("SPOT_", "CLUSTER_CAPACITY"),
    ("INSTANCE_FLEET_TIMEOUT", "CLUSTER_CAPACITY"),
    ("BOOTSTRAP_FAILURE", "CLUSTER_BOOTSTRAP_FAILED"),
    ("VALIDATION_ERROR", "CLUSTER_INVALID"),
    ("ACCESS_DENIED", "CLUSTER_INVALID"),
    ("USER_REQUEST", "CLUSTER_TERMINATED_OUTSIDE"),
    ("INTERNAL_ERROR", "CLUSTER_LOST"),
    ("INSTANCE_FAILURE", "CLUSTER_LOST"),
    ("SYSTEM_ERROR", "CLUSTER_LOST"),
)
_DOWNLOAD_FAILED = re.compile(r"download", re.IGNORECASE)
_DENIED = re.compile(r"not authorized|access ?denied|unauthorized|not have permission", re.IGNORECASE)

_MISSING_PATH = re.compile(r"PATH_NOT_FOUND|Path does not exist")
_BROKEN_JOB = re.compile(
    r"\b(AnalysisException|ParseException|SyntaxError|IndentationError|ModuleNotFoundError|ImportError|NameError|"
    r"NoSuchBucket\w*|AccessDenied\w*|Access Denied|AccessControlException|ClassNotFoundException|"
    r"NoSuchMethodError)\b"
)
# A line that names an exception: the last one of a Python traceback, one of Java's, or an ERROR of log4j's.
# Warnings and the lines of the stack name exceptions too, and mean nothing.
_NAMES_ERROR = re.compile(r"^[:\s]*(?:Caused by: )?[\w.$]+(?:Error|Exception|Interrupt|Exit)\b")
_LOGGED_ERROR = re.compile(r"^\d\S* \S+ (?:ERROR|FATAL) ")


def emr_fault(
    state_reason_code: str | None,
    error_code: str | None = None,
    step_failure_reason: str | None = None,
    message: str | None = None,
    log_tail: str | None = None,
) -> FaultError:
    """The fault behind a cluster that did not end well.

    :param state_reason_code: `Cluster.Status.StateChangeReason.Code`, e.g. `STEP_FAILURE`
    :param error_code: the first of `Cluster.Status.ErrorDetails[].ErrorCode`, which says more
    :param step_failure_reason: `Step.Status.FailureDetails.Reason`
    :param message: whatever words AWS gave (the state change reason's, the step's failure details')
    :param log_tail: the last lines of the failed step's stdout and stderr
    """
    code, reason = error_code or "", state_reason_code or ""
    words = " ".join(part for part in (step_failure_reason, message) if part)
    facts: dict[str, object] = {"state_reason": state_reason_code, "error_code": error_code}
    if step_failure_reason:
        facts["step_failure_reason"] = step_failure_reason
    found = _by_code(code) or _by_code(reason)
    if found is None and (step_failure_reason or log_tail):
        found = "SPARK_STEP_FAILED"
    if found == "SPARK_STEP_FAILED":
        return _step_fault(words, log_tail or "", facts)
    if found == "CLUSTER_BOOTSTRAP_FAILED" and _DOWNLOAD_FAILED.search(f"{code} {words}"):
        found = "CLUSTER_LOST"
    if found in {None, "CLUSTER_LOST"}:
        found = "CLUSTER_INVALID" if _DENIED.search(words) else "CLUSTER_LOST"
    return fault(found, " ".join(part for part in (code or reason, words) if part), **facts)


def _by_code(code: str) -> str | None:
    return next((found for family, found in _BY_CODE if family in code.upper()), None)


def _step_fault(words: str, log_tail: str, facts: dict[str, object]) -> FaultError:
    lines = [line.strip() for line in log_tail.splitlines()]
    named = [line for line in lines if _NAMES_ERROR.match(line)]
    logged = [line for line in lines if _LOGGED_ERROR.match(line)]
    detail = (named or logged or [words or "its log is not there yet"])[-1]
    shown = "\n".join([words, *named, *logged])
    if missing := _MISSING_PATH.search(shown):
        return fault("SOURCE_MISSING", detail, **facts, signal=missing[0])
    if broken := _BROKEN_JOB.search(shown):
        return fault("SPARK_CODE_BROKEN", detail, **facts, signal=broken[1])
    return fault("SPARK_STEP_FAILED", detail, **facts)
