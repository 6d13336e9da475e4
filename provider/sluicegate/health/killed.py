"""Tries that have left no end, and which Airflow knows to have ended: their processes were killed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sluicegate.ledger.killed import settled
from sluicegate.ledger.receipts import Receipt
from sluicegate.runtime.journal import in_journal

if TYPE_CHECKING:
    import psycopg

__all__ = ["States", "close_killed", "ended_unseen"]

_MOST = 200
"""Of one look."""
_AFTER = timedelta(minutes=5)
"""How long a try has to have gone on: what is younger is most likely at work."""


class States(Protocol):
    """What is asked of Airflow."""

    def states(
        self, dag_id: str, run_ids: Collection[str], task_ids: Collection[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """By run, the state of each instance of these tasks; that of a mapped one as `<task>_<index>`."""


def close_killed(journal: str, pipelines: Collection[str], airflow: States) -> list[Receipt]:
    """Close the receipts of those tries in the journal; what they became."""

    def look(connection: psycopg.Connection[tuple[Any, ...]]) -> Sequence[Receipt]:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        return PostgresReceipts(connection).open(_AFTER, _MOST)

    opened = [
        each
        for each in in_journal(journal, "which tries have no end", look) or []
        if each.attempt.pipeline in pipelines
    ]
    found = list(ended_unseen(opened, airflow, datetime.now(UTC)))

    def close(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        for each in found:
            PostgresReceipts(connection).close(each)

    if found:
        in_journal(journal, "that tries were killed", close)
    return found


def ended_unseen(opened: Sequence[Receipt], airflow: States, now: datetime) -> Iterator[Receipt]:
    """Those that Airflow knows to have ended, as closed receipts. One call a pipeline."""
    of_pipeline: dict[str, list[Receipt]] = {}
    for receipt in opened:
        of_pipeline.setdefault(receipt.attempt.pipeline, []).append(receipt)
    for pipeline, some in of_pipeline.items():
        runs, tasks = ({getattr(each.attempt, key) for each in some} for key in ("run_id", "step"))
        states = airflow.states(pipeline, sorted(runs), sorted(tasks))
        for each in some:
            step, index = each.attempt.step, each.attempt.map_index
            state = states.get(each.attempt.run_id, {}).get(step if index < 0 else f"{step}_{index}")
            word = None if state is None else str(getattr(state, "value", state))
            if (done := settled(each, word, now)) is not None:
                yield done
