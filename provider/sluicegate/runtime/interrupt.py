"""A trace of tasks that a person has ended while they ran: Airflow kills such a process, and without a trace it would
look like one that the kernel killed for its memory.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sluicegate.ledger.killed import FROM_OUTSIDE
from sluicegate.ledger.receipts import Status
from sluicegate.runtime.journal import in_journal
from sluicegate.runtime.lifecycle import End, Life

if TYPE_CHECKING:
    import psycopg
    from airflow.sdk import Context

__all__ = ["InterruptObserver", "is_settled_by_another"]

_SETTLED = frozenset({"failed", "success", "skipped", "upstream_failed", "removed", "restarting"})
"""States that a task which runs is in only where a person, or the scheduler for one, has put it there."""
_NOTE = """
UPDATE sluicegate.receipts
SET status = %(failed)s, ended_at = clock_timestamp(),
    document = (document::jsonb - 'fault' || jsonb_build_object('reason', %(reason)s::text))::json
WHERE (pipeline, run_id, step, map_index, try_number)
    = (%(pipeline)s, %(run_id)s, %(step)s, %(map_index)s, %(try_number)s) AND status = ANY(%(not_done)s)
"""
_NOT_DONE = [Status.RUNNING.value, Status.RETRYING.value, Status.FAILED.value]
_Handler = Callable[[int, Any], Any] | int | None

log = logging.getLogger(__name__)


def is_settled_by_another(context: Context) -> bool:
    """Whether the task is in another state than one that runs. Asks Airflow; False where it does not answer."""
    try:
        ti = context["ti"]
        index = -1 if ti.map_index is None else int(ti.map_index)
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=index)
        state = found.get(ti.run_id, {}).get(ti.task_id if index < 0 else f"{ti.task_id}_{index}")
    except Exception as error:
        log.debug("The state of the task is not known: %s", type(error).__name__)
        return False
    return str(getattr(state, "value", state)) in _SETTLED


class InterruptObserver:
    """See `Observer`. Listens for SIGTERM while a step works, and hands it on. The last to learn of an end: what the
    step's cancelled work has failed with is not a fault then.
    """

    def __init__(self) -> None:
        self._before: _Handler = None
        self._is_interrupted = False

    def began(self, life: Life) -> None:
        if life.journal is None or threading.current_thread() is not threading.main_thread():
            return
        before = self._before = signal.getsignal(signal.SIGTERM)

        def interrupted(number: int, frame: Any) -> None:
            self._is_interrupted = True
            # In a thread: the signal may have come in the middle of a statement of the journal's.
            threading.Thread(target=_note, args=(life,), name="interrupt", daemon=True).start()
            if callable(before):
                before(number, frame)
            elif before == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.raise_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, interrupted)

    def ended(self, life: Life, end: End) -> None:
        if self._before is not None:
            with suppress(ValueError):
                signal.signal(signal.SIGTERM, self._before)
        if self._is_interrupted:
            _note(life)


def _note(life: Life) -> None:
    if not is_settled_by_another(life.context):
        return  # a worker that stops: what becomes of the task is to be said
    step = life.step
    facts = {
        "pipeline": step.pipeline, "run_id": step.run_id, "step": step.step, "map_index": step.map_index,
        "try_number": step.try_number, "failed": Status.FAILED.value, "not_done": _NOT_DONE,
        "reason": FROM_OUTSIDE,
    }  # fmt: skip

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
        return connection.execute(_NOTE, facts).rowcount

    in_journal(life.journal, "that the step was ended from outside", work)
