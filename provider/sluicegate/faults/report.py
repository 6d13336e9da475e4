"""Every error that leaves a step: classified once, logged with its remedy, written to the task state store.

It must not hide the error: a log or a store that fails is a warning, never another exception.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError
from sluicegate.faults.index import FaultKey
from sluicegate.faults.redact import redact, redact_facts, secrets_in
from sluicegate.faults.shape import chain, summary

__all__ = ["LAST_ERROR", "describe", "forget", "last_error", "playbook_section", "report", "reported"]

LAST_ERROR = "last_error"
"""Key in the task state store. REST shows no exception's text, so a recovery reads it there."""

_DETAIL_BYTES = 2048
_FACTS_BYTES = 4096

log = logging.getLogger(__name__)


def playbook_section(playbook: str, code: str) -> str:
    """Where the page `playbook` treats `code`: `playbooks/orders.md#source_missing`."""
    return f"playbooks/{playbook}.md#{code.lower()}"


def describe(error: FaultError, *, playbook: str) -> str:
    """The block for the task's log."""
    lines = [f"{error.code} ({error.fault.kind}): {error.fault.sentence}"]
    if error.detail:
        lines.append("  what happened: " + redact(error.detail).replace("\n", "\n    "))
    lines.append(f"  what to do:    {error.fault.remedy}")
    lines.append(f"  playbook:      {playbook_section(playbook, error.code)}")
    return "\n".join(lines)


def last_error(error: FaultError, *, try_number: int, at: datetime) -> dict[str, Any]:
    """What is kept of `error`: JSON, at most about 6 kB, without secrets."""
    facts = redact_facts(error.facts)
    if len(json.dumps(facts, default=str).encode()) > _FACTS_BYTES:
        facts = {"omitted": sorted(str(name)[:60] for name in error.facts)[:20]}
    return {
        "code": error.code,
        "class": str(error.fault.kind),
        "detail": _shortened(redact(error.detail)),
        "facts": facts,
        "at": at.isoformat(timespec="seconds"),
        "try_number": try_number,
    }


def report(error: FaultError, context: Mapping[str, Any], *, playbook: str, subject: str = "") -> None:
    """Log `error` with its remedy, keep it under `LAST_ERROR` in the task's state store, and leave its `FaultKey`."""
    log.error("%s", describe(error, playbook=playbook))
    _keep(error, context)
    _index(error, context, subject)


def _keep(error: FaultError, context: Mapping[str, Any]) -> None:
    store = context.get("task_state_store")
    if store is None:
        return
    try:
        try_number = int(getattr(context.get("ti"), "try_number", None) or 1)
        store.set(LAST_ERROR, last_error(error, try_number=try_number, at=datetime.now(UTC)))
    except Exception as unstored:
        log.warning("The fault could not be kept in the task's state store: %s", redact(repr(unstored)))


def _index(error: FaultError, context: Mapping[str, Any], subject: str) -> None:
    push = getattr(context.get("ti"), "xcom_push", None)
    if push is None:
        return
    try:
        push(key=FaultKey(error.code, subject).key, value={"code": error.code, "class": str(error.fault.kind)})
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
    context: Mapping[str, Any], *, playbook: str, subject: Callable[[FaultError], str] = lambda _: ""
) -> Iterator[None]:
    """Around what a step does: whatever comes out is a `FaultError`, reported once, from the original.

    `playbook` is the name of the page that the log points to, the pipeline's own or one for several; `subject` says
    what a fault is about.

    Airflow's control flow (deferred, skipped, rescheduled, ...) and exits of the process pass untouched.
    Timeouts are reported, but stay what they are: Airflow calls `on_kill` only when it sees its own.
    """
    from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowTaskTimeout

    def told(error: FaultError) -> None:
        report(error, context, playbook=playbook, subject=subject(error))

    try:
        yield
    except (AirflowTaskTimeout, AirflowSensorTimeout) as timeout:
        told(classify(timeout))
        raise
    except FaultError as error:
        _mask_traceback(error)
        if not error.reported:
            told(error)
            error.reported = True
        raise
    except Exception as error:
        if isinstance(error, _control_flow()):
            raise
        _mask_traceback(error)
        found = classify(error)
        told(found)
        found.reported = True
        raise found from error


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
