"""Every error that leaves a step: classified once, logged with its remedy, written to the task state store.

It must not hide the error: a log or a store that fails is a warning, never another exception.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.frames import own_code
from sluicegate.faults.index import FaultKey
from sluicegate.faults.layout import block
from sluicegate.faults.leaving import leaving
from sluicegate.faults.redact import redact, redact_facts, redact_known, secrets_in
from sluicegate.faults.rules import own_rules
from sluicegate.faults.section import Playbook, section
from sluicegate.faults.shape import chain, summary

__all__ = ["LAST_ERROR", "describe", "described", "forget", "last_error", "report", "reported"]

LAST_ERROR = "last_error"
"""Key in the task state store. REST shows no exception's text, so a recovery reads it there."""

_DETAIL_BYTES = 2048
_FACTS_BYTES = 4096

log = logging.getLogger(__name__)


def describe(error: FaultError, *, playbook: Playbook, cause: BaseException | None = None) -> str:
    """The block for the task's log; `cause` is what `error` was made of."""
    code = own_code(cause or error)
    entries = [
        ("where", "\n".join(_where(error, code))),
        ("what happened", error.detail),
        ("what to do", error.fault.remedy),
        ("read on", section(error.code, playbook)),
        ("your code", "\n".join(code)),
    ]
    title = f"{error.code} ({error.fault.kind}): {error.fault.sentence}"
    return block(title, ((label, redact(text)) for label, text in entries))


def _where(error: FaultError, code: Sequence[str]) -> Sequence[str]:
    """The places at which to look first."""
    if error.where:
        return error.where
    if code:
        return [code[-1].partition("\n")[0]]
    place = error.facts.get("uri") or error.facts.get("upstream")
    return [place] if isinstance(place, str) and place not in error.detail else []


def last_error(error: FaultError, *, read_on: str, try_number: int, at: datetime) -> dict[str, Any]:
    """What is kept of `error`: JSON, at most about 6 kB, without secrets."""
    facts = redact_facts(error.facts)
    if len(json.dumps(facts, default=str).encode()) > _FACTS_BYTES:
        facts = {"omitted": sorted(str(name)[:60] for name in error.facts)[:20]}
    return {
        "code": error.code,
        "class": str(error.fault.kind),
        "detail": _shortened(redact(error.detail)),
        "facts": facts,
        "read_on": read_on,
        "at": at.isoformat(timespec="seconds"),
        "try_number": try_number,
    }


def report(
    error: FaultError,
    context: Mapping[str, Any],
    *,
    playbook: Playbook,
    subject: str = "",
    cause: BaseException | None = None,
) -> None:
    """Log `error` with its remedy, keep it under `LAST_ERROR` in the task's state store, and leave its `FaultKey`."""
    log.error("%s", redact_known(describe(error, playbook=playbook, cause=cause)))
    _keep(error, context, section(error.code, playbook))
    _index(error, context, subject)


def _keep(error: FaultError, context: Mapping[str, Any], read_on: str) -> None:
    store = context.get("task_state_store")
    if store is None:
        return
    try:
        try_number = int(getattr(context.get("ti"), "try_number", None) or 1)
        kept = last_error(error, read_on=read_on, try_number=try_number, at=datetime.now(UTC))
        store.set(LAST_ERROR, redact_known(kept))
    except Exception as unstored:
        log.warning("The fault could not be kept in the task's state store: %s", redact(repr(unstored)))


def _index(error: FaultError, context: Mapping[str, Any], subject: str) -> None:
    push = getattr(context.get("ti"), "xcom_push", None)
    if push is None:
        return
    try:
        key = FaultKey.to(error.fault, str(redact_known(subject))).key
        push(key=key, value={"code": error.code, "class": str(error.fault.kind)})
    except Exception as unlisted:
        log.warning("The fault could not be left as an XCom: %s", redact(repr(unlisted)))


def forget(context: Mapping[str, Any]) -> None:
    """Remove what an earlier try left under `LAST_ERROR`; to be called when the step has succeeded."""
    store = context.get("task_state_store")
    if store is None or int(getattr(context.get("ti"), "try_number", None) or 1) <= 1:
        return
    try:
        store.delete(LAST_ERROR)
    except Exception as undeleted:
        log.warning("An earlier fault is still in the task's state store: %s", redact(repr(undeleted)))


@contextmanager
def reported(
    context: Mapping[str, Any],
    *,
    playbook: Playbook,
    subject: Callable[[FaultError], str] = lambda _: "",
    on_timeout: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Around what a step does: whatever comes out is a `FaultError`, reported once, from the original.

    `playbook` is the page that the log points to; `subject` says what a fault is about. A fault that was foreseen
    leaves in a way in which Airflow logs no traceback of it (`leaving`).

    Airflow's control flow (deferred, skipped, rescheduled, ...) and exits of the process pass untouched. With
    `on_timeout`, which is called, the task's own timeout is a fault too; without it, it stays what it is: Airflow
    calls `on_kill` only when it sees its own.
    """
    from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowTaskTimeout

    def told(error: FaultError, cause: BaseException | None = None) -> None:
        _mask_traceback(cause or error)
        if not error.reported:
            report(error, context, playbook=playbook, subject=subject(error), cause=cause)
            error.reported = True

    own = own_rules(context)
    try:
        yield
    except AirflowTaskTimeout as timeout:
        found = classify(fault("TIMED_OUT", _limit(context) or summary(timeout)), own)
        told(found, timeout)
        if on_timeout is None:
            raise
        _done(on_timeout)
        raise leaving(found, timeout) from timeout
    except AirflowSensorTimeout as timeout:
        told(classify(timeout, own))
        raise
    except FaultError as error:
        told(error, error.__cause__)
        if (left := leaving(error, error.__cause__)) is error:
            raise
        raise left from error.__cause__
    except Exception as error:
        if isinstance(error, _control_flow()):
            raise
        found = classify(error)
        told(found, error)
        raise leaving(found, error) from error


@contextmanager
def described(context: Mapping[str, Any], *, playbook: Playbook) -> Iterator[None]:
    """Around the work of an operator that is not ours: its error is reported as a fault is, and stays what it is."""
    from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

    try:
        yield
    except AirflowTaskTimeout as timeout:
        _mask_traceback(timeout)
        late = fault("TIMED_OUT", _limit(context) or summary(timeout))
        report(classify(late, own_rules(context)), context, playbook=playbook, cause=timeout)
        raise
    except Exception as error:
        if isinstance(error, AirflowFailException) or not isinstance(error, _control_flow()):
            _mask_traceback(error)
            report(classify(error), context, playbook=playbook, cause=error)
        raise


def _limit(context: Mapping[str, Any]) -> str:
    limit = getattr(context.get("task"), "execution_timeout", None)
    return f"not done within {limit}, the `timeout` of the step" if limit is not None else ""


def _done(on_timeout: Callable[[], None]) -> None:
    try:
        on_timeout()
    except Exception as unended:
        log.warning("What the step had started could not be ended: %s", redact(summary(unended)))


def _control_flow() -> tuple[type[BaseException], ...]:
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSkipException,
        DagRunTriggerException,
        DownstreamTasksSkipped,
    )

    # TaskDeferred, TaskAwaitingInput and AirflowTaskTerminated are not Exceptions and never come here.
    return (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSkipException,
        DagRunTriggerException,
        DownstreamTasksSkipped,
    )


def _mask_traceback(error: BaseException) -> None:
    """Airflow logs the traceback of `error` itself: its masker gets the secrets that the words show."""
    from airflow.sdk.log import mask_secret

    try:
        # The words alone: a line of source such as `password=settings.password` shows no secret.
        for secret in secrets_in("\n".join(summary(link) for link in chain(error))):
            mask_secret(secret)
    except Exception as unmasked:
        log.debug("Secrets of a traceback could not be masked: %s", type(unmasked).__name__)


def _shortened(text: str) -> str:
    """`text` within `_DETAIL_BYTES`; the end stays, for that is where an error says what it was."""
    raw = text.encode()
    if len(raw) <= _DETAIL_BYTES:
        return text
    half = _DETAIL_BYTES // 2 - 8
    return raw[:half].decode(errors="ignore") + "\n[...]\n" + raw[-half:].decode(errors="ignore")
