"""The receipt of a try: written when it begins, completed when it ends, in the pipeline's journal or as an XCom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults.redact import redact_known
from sluicegate.ledger.killed import FROM_OUTSIDE
from sluicegate.ledger.receipts import Attempt, Receipt, Status
from sluicegate.receipts.configuration import configuration_of, digest_of
from sluicegate.receipts.making import Known, at_beginning, at_end, fault_of, presentable
from sluicegate.runtime.inputs import inputs_of
from sluicegate.runtime.journal import in_journal
from sluicegate.runtime.lifecycle import Deferred, End, Failed, Interrupted, Life, Skipped, Succeeded

if TYPE_CHECKING:
    import psycopg

    from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["KEEP", "RECEIPT_XCOM_KEY", "ReceiptObserver"]

RECEIPT_XCOM_KEY = "sluicegate_receipt"
"""The XCom of a step whose pipeline has no journal, or could not reach it."""
KEEP = timedelta(days=400)
"""How long receipts are kept, where a pipeline says nothing else."""


class ReceiptObserver:
    """See `Observer`. One for each life."""

    def __init__(self) -> None:
        self._begun: Receipt | None = None

    def began(self, life: Life) -> None:
        receipt = self._begun = _begun(life)
        if not life.resumed or life.waited:
            read = inputs_of(life.task, look=life.journal is not None)  # no command compares what is an XCom
            document = {**receipt.document, "inputs": presentable({"inputs": read}, _mask)["inputs"]}
            receipt = self._begun = replace(receipt, document=document)
        said = _configuration(life)
        if said is not None:
            receipt = self._begun = replace(receipt, configuration=digest_of(said))

        def work(connection: psycopg.Connection[tuple[Any, ...]]) -> Mapping[str, Any]:
            from sluicegate.ledger.postgres.receipts import PostgresReceipts

            return PostgresReceipts(connection).begin(receipt, said)

        kept = in_journal(life.journal, "the beginning of the receipt", work)
        if kept is not None and "inputs" not in receipt.document:
            inputs = replace(receipt, document=kept).inputs or inputs_of(life.task, look=False)
            self._begun = replace(receipt, document={**receipt.document, "inputs": list(inputs)})

    def ended(self, life: Life, end: End) -> None:
        begun = self._begun or _begun(life)
        receipt = _ended(begun, life, end)

        def work(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
            from sluicegate.ledger.postgres.receipts import PostgresReceipts

            PostgresReceipts(connection).end(receipt, _keep(life))
            return True

        if not in_journal(life.journal, "the receipt", work):
            life.context["ti"].xcom_push(key=RECEIPT_XCOM_KEY, value=_as_xcom(receipt))


def _begun(life: Life) -> Receipt:
    step = life.step
    attempt = Attempt(step.pipeline, step.run_id, step.step, step.map_index, step.try_number)
    document = presentable(at_beginning(_known(life)), _mask) | {"timezone": str(step.window.start.tzinfo)}
    return Receipt(attempt, Status.RUNNING, datetime.now(UTC), window=step.window, document=document)


def _ended(begun: Receipt, life: Life, end: End) -> Receipt:
    left = getattr(life.task, "facts", None)  # an operator that is not ours may call anything so
    facts: Mapping[str, Any] = left if isinstance(left, Mapping) else {}
    more: dict[str, Any] = {}
    match end:
        case Succeeded(result):
            status, facts = Status.SUCCEEDED, result.facts
        case Failed(error, will_retry):
            status, more = Status.RETRYING if will_retry else Status.FAILED, {"fault": fault_of(error)}
        case Skipped(reason):
            status, more = Status.SKIPPED, {"reason": reason}
        case Deferred():
            status = Status.DEFERRED
        case Interrupted():
            status, more = Status.FAILED, {"reason": FROM_OUTSIDE}
    beginning = dict(begun.document)
    inputs = beginning.pop("inputs", None)
    document = at_end(_known(life), beginning, {"inputs": inputs or [], **facts}) | more
    now = None if status is Status.DEFERRED else datetime.now(UTC)
    return replace(begun, status=status, ended_at=now, document=presentable(document, _mask))


def _known(life: Life) -> Known:
    pipeline, dag = _pipeline(life), life.task.get_dag()
    root = pipeline.root if pipeline is not None else Path(str(getattr(life.task, "root", None) or dag.folder))  # type: ignore[union-attr]
    bundle = getattr(life.context["ti"], "bundle_instance", None)
    step = life.step
    return Known(
        step.step,
        f"{type(life.task).__module__}.{type(life.task).__qualname__}",
        pipeline,
        root,
        step.params,
        step.item,
        step.dry_run,
        step.force,
        (getattr(bundle, "name", None), getattr(bundle, "version", None)),
        _trigger(life),
    )


def _trigger(life: Life) -> dict[str, Any]:
    run = life.context.get("dag_run")
    kind, who = getattr(run, "run_type", None), getattr(run, "triggering_user_name", None)
    found: dict[str, Any] = {"type": str(getattr(kind, "value", kind)) if kind is not None else None}
    found |= {"by": who} if who else {}
    cleared = getattr(run, "clear_number", None)
    found |= {"cleared": int(cleared)} if cleared else {}
    return found | ({"recovery": life.step.recovery} if life.step.recovery else {})


def _pipeline(life: Life) -> Pipeline | None:
    return getattr(life.task.get_dag(), "pipeline", None)


def _configuration(life: Life) -> dict[str, Any] | None:
    pipeline = _pipeline(life)
    if pipeline is None:
        return None
    return presentable(configuration_of(pipeline, os.environ), _mask)


def _keep(life: Life) -> timedelta:
    pipeline = _pipeline(life)
    return KEEP if pipeline is None else pipeline.receipts.keep


def _mask(text: str) -> str:
    """`text` without what Airflow knows for a secret in this process."""
    return str(redact_known(text))


def _as_xcom(receipt: Receipt) -> dict[str, Any]:
    return {
        "status": str(receipt.status),
        "started_at": receipt.started_at.isoformat(),
        "ended_at": receipt.ended_at and receipt.ended_at.isoformat(),
        "window": receipt.window and str(receipt.window),
        "version": receipt.version,
        "configuration": receipt.configuration,
        **receipt.document,
    }
