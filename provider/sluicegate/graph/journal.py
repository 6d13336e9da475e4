"""Which database keeps what a pipeline's steps did: receipts, alerts, circuits."""

from __future__ import annotations

from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.keys.steps import LoadStep

__all__ = ["journal_of"]

_TABLE = "table://"


def journal_of(pipeline: Pipeline) -> str | None:
    """The Airflow connection of a pipeline's journal: `connections.ledger`, else that of the first table it loads into.

    None where it has neither. Only the connection's type, which no file says, shows whether it is a Postgres.
    """
    if pipeline.connections.ledger is not None:
        return pipeline.connections.ledger
    for step in pipeline.steps.values():
        if isinstance(step, LoadStep):
            uri = pipeline.datasets[step.into].uri
            if uri.startswith(_TABLE) and "{" not in (connection := uri.removeprefix(_TABLE).partition("/")[0]):
                return connection
    return None
