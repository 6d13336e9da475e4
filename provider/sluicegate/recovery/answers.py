"""Airflow's answers as parts of a night."""

from __future__ import annotations

from sluicegate.api.answers import DagRun, TaskInstance
from sluicegate.graph.awaited import AwaitedRuns
from sluicegate.recovery.definition import InstanceKey, RunKey
from sluicegate.recovery.night import Awaited, Instance, Run

__all__ = ["instance_of", "run_of"]


def run_of(found: DagRun) -> Run:
    """A run of the API's answer."""
    return Run(
        key=RunKey(found.dag_id, found.run_id),
        state=found.state,
        run_after=found.run_after or found.start,
        logical_date=found.logical_date,
        start=found.start if found.end is not None else None,
        end=found.end,
    )


def instance_of(found: TaskInstance) -> Instance:
    """An instance of the API's answer, with what its rendered fields say of other DAGs."""
    return Instance(
        key=InstanceKey(found.dag_id, found.run_id, found.task_id, found.map_index),
        id=found.id,
        state=found.state,
        tries=found.try_number,
        operator=found.operator,
        pool=found.pool,
        pool_slots=found.pool_slots,
        started=found.started,
        ended=found.ended,
        awaited=_awaited(found),
        triggers=_triggers(found),
    )


def _awaited(found: TaskInstance) -> Awaited | None:
    rendered = found.rendered
    if found.operator == "UpstreamSensor" and (dag := _text(rendered.get("awaited_dag"))):
        task = _text(rendered.get("awaited_task"))
        return Awaited(dag, None if task is None else (task,), AwaitedRuns.of(rendered.get("awaited_dates")))
    if found.operator == "ExternalTaskSensor" and (dag := _text(rendered.get("external_dag_id"))):
        several = rendered.get("external_task_ids")
        one = _text(rendered.get("external_task_id"))
        tasks = tuple(map(str, several)) if isinstance(several, list) and several else (one,) if one else None
        return Awaited(dag, tasks, None)
    return None


def _triggers(found: TaskInstance) -> tuple[str, str | None] | None:
    if found.operator != "TriggerDagRunOperator":
        return None
    dag = _text(found.rendered.get("trigger_dag_id"))
    return None if dag is None else (dag, _text(found.rendered.get("trigger_run_id")))


def _text(value: object) -> str | None:
    """A rendered field; Airflow stores a missing one as None or as the word."""
    return value if isinstance(value, str) and value not in ("", "None") else None
