"""With what operators and DAGs are called while a DAG is built: an operator does not keep its arguments.

For commands, which build one DAG after the other in one thread; nothing here is loaded where Airflow parses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseOperatorMeta

from sluicegate.runtime.dag import PipelineDAG

__all__ = ["Calls", "recording"]


@dataclass
class Calls:
    """What was called, by task id of operators (the last call of an id counts) and by id of DAGs."""

    operators: dict[str, tuple[type[BaseOperator], Mapping[str, Any]]] = field(default_factory=dict)
    dags: dict[str, Mapping[str, Any]] = field(default_factory=dict)


@contextmanager
def recording() -> Iterator[Calls]:
    """Keeps the arguments of every operator and every `PipelineDAG` that is made inside."""
    calls = Calls()
    plain_init = PipelineDAG.__init__

    def call(kind: type[BaseOperator], *arguments: Any, **keywords: Any) -> BaseOperator:
        made: BaseOperator = type.__call__(kind, *arguments, **keywords)
        calls.operators[made.task_id] = (kind, keywords)
        return made

    def init(dag: PipelineDAG, dag_id: str, **keywords: Any) -> None:
        plain_init(dag, dag_id, **keywords)
        calls.dags[dag_id] = keywords

    BaseOperatorMeta.__call__ = call  # type: ignore[assignment, method-assign]
    PipelineDAG.__init__ = init  # type: ignore[assignment, method-assign]
    try:
        yield calls
    finally:
        del BaseOperatorMeta.__call__
        PipelineDAG.__init__ = plain_init  # type: ignore[method-assign]
