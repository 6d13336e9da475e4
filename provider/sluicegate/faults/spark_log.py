"""Why a step failed, by the last lines of its log and the status that it ended with. Calls nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["BY_EXIT_STATUS", "SIGNALS", "TIMED_OUT_STATUS", "Cause", "cause"]

TIMED_OUT_STATUS = 124
"""With this coreutils' `timeout` ends, under which every step runs."""

BY_EXIT_STATUS: Mapping[int, str] = MappingProxyType(
    {
        126: "SPARK_MODULE_MISSING",  # the shell could not run the command
        127: "SPARK_MODULE_MISSING",  # the shell did not find it
        137: "SPARK_OUT_OF_MEMORY",  # SIGKILL: nothing but the kernel sends it before `max_runtime` is over
        143: "SPARK_MACHINES_LOST",  # SIGTERM
    }
)

SIGNALS: tuple[tuple[str, str], ...] = (
    (r"PATH_NOT_FOUND|Path does not exist", "SOURCE_MISSING"),
    (r"\bFileAlreadyExistsException\b|Output directory [^\n]{0,200}already exists|PATH_ALREADY_EXISTS",
     "SPARK_OUTPUT_EXISTS"),
    (r"\bModuleNotFoundError\b|\bImportError\b|\bClassNotFoundException\b|\bNoClassDefFoundError\b|command not found",
     "SPARK_MODULE_MISSING"),
    (r"\bNoSuchBucket\w*|The specified bucket does not exist", "AWS_NOT_FOUND"),
    (r"\bAccessDenied\w*|\bAccess Denied\b|\bAccessControlException\b|is not authorized to perform", "SPARK_DENIED"),
    (r"\bSlowDown\b|Please reduce your request rate", "AWS_THROTTLED"),
    (r"\bAnalysisException\b|\bParseException\b|\bSyntaxError\b|\bIndentationError\b|\bNameError\b|"
     r"\bNoSuchMethodError\b", "SPARK_CODE_BROKEN"),
    (r"No space left on device|could only be (?:replicated|written) to 0 |only managed to replicate to (?:0|zero)",
     "SPARK_DISK_FULL"),
    (r"exceeding (?:physical |virtual )?memory limits|beyond the '?(?:PHYSICAL|VIRTUAL)'? memory limit|"
     r"\bOutOfMemoryError\b|\bMemoryError\b|[eE]xit(?: ?[cC]ode| status):? ?137\b",
     "SPARK_OUT_OF_MEMORY"),
    (r"\bExecutorLostFailure\b|\bFetchFailed\w*|Too many fetch.failures|NO_SLAVE_LEFT|ExecutorDeadException|"
     r"spot interruption|[eE]xit(?: ?[cC]ode| status):? ?143\b", "SPARK_MACHINES_LOST"),
)  # fmt: skip
"""What a line that names an error may contain, and the fault that it is; the first that is found counts."""

_SIGNALS = tuple((re.compile(pattern), code) for pattern, code in SIGNALS)

# A line that names an exception: the last one of a Python traceback, one of Java's, an ERROR of log4j's, or what YARN
# says of an application in cluster mode. Warnings and the lines of the stack name exceptions too, and mean nothing.
_NAMES_ERROR = re.compile(
    r"^[:\s]*(?:Caused by: |Exception in thread \S+ )?[\w.$]+(?:Error|Exception|Interrupt|Exit)\b"
)
_LOGGED_ERROR = re.compile(r"^\d\S* \S+ (?:ERROR|FATAL) ")
_DIAGNOSED = re.compile(
    r"^\s*(?:diagnostics: \S|\S+: command not found|.*line \d+: .*: (?:command )?not found|"
    r"timeout: failed to run command )"
)
# Says only that the application failed, which is known.
_EMPTY_WORDS = re.compile(r"SparkException: Application application_\d+_\d+ (?:finished with failed|failed)|SystemExit")


@dataclass(frozen=True)
class Cause:
    """The fault; the line that says it best; what in it decided."""

    code: str
    line: str
    signal: str | None = None


def cause(words: str, log_tail: str, exit_status: int | None = None) -> Cause:
    """What made a step fail.

    :param words: what EMR says of it
    :param log_tail: the end of its log, what holds the traceback last
    """
    lines = [line.strip(": \t") for line in log_tail.splitlines()]
    named = [line for line in lines if _NAMES_ERROR.match(line) and not _EMPTY_WORDS.search(line)]
    logged = [line for line in lines if _LOGGED_ERROR.match(line)]
    diagnosed = [line for line in lines if _DIAGNOSED.match(line)]
    # What was logged as an error may have been overcome; an exception that is named as such has not.
    said = [*(named or logged), *diagnosed]
    line = (named or diagnosed or logged or [words])[-1]
    for pattern, code in _SIGNALS:
        for shown in (words, *reversed(said)):
            if found := pattern.search(shown):
                return Cause(code, line if pattern.search(line) else shown, found[0])
    if exit_status is not None and exit_status in BY_EXIT_STATUS:
        return Cause(BY_EXIT_STATUS[exit_status], line, f"exit status {exit_status}")
    return Cause("SPARK_STEP_FAILED", line)
