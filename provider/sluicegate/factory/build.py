"""Pipeline -> DAG. The passes are named in `build_dag`; each takes values and returns values.

Reads no pipeline file: what a file says wrong was said before, and what only an operator can object to
comes out as a `BuildError` with all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from airflow.sdk import BaseOperator

from sluicegate.dag import PipelineDAG
from sluicegate.factory.arguments import dag_argument_problems
from sluicegate.factory.dag import dag_arguments, trigger_form
from sluicegate.factory.docs import doc_md, playbooks_folder
from sluicegate.factory.problems import BuildError, Problem
from sluicegate.factory.steps import operator_of, retry_arguments
from sluicegate.factory.waits import SourceWait, Wait, waits
from sluicegate.pipeline import graph
from sluicegate.pipeline.model import Pipeline
from sluicegate.wait.sensor import SourceSensor, UpstreamSensor, WaitSensor

__all__ = ["build_dag"]

_SENSOR_RETRIES = 2
"""At least: Airflow may fail a task that comes back from the triggerer for no reason of its own (#72716)."""


def build_dag(pipeline: Pipeline, others: Mapping[str, Pipeline], *, playbooks: Path | None = None) -> PipelineDAG:
    """The DAG of `pipeline`.

    :param others: the pipelines that it reads from, by name
    :param playbooks: the folder of playbooks, unless it is where it is always
    :raises BuildError: for operators and arguments that Airflow does not have or does not take
    """
    dag = _dag(pipeline, playbooks or playbooks_folder(pipeline.root))
    tasks = _steps(pipeline, others)
    awaited = waits(pipeline, others)
    sensors = {wait.task_id: _sensor(wait, pipeline) for wait in awaited}
    dag.add_tasks([*sensors.values(), *tasks.values()])
    _join([*_edges_of_waits(awaited), *graph.edges(pipeline)], tasks | sensors)
    return dag


def _dag(pipeline: Pipeline, playbooks: Path) -> PipelineDAG:
    if problems := dag_argument_problems(pipeline.dag, ("dag",)):
        raise BuildError(problems)
    try:
        return PipelineDAG(
            pipeline.name,
            source=str(pipeline.file),
            window_timezone=pipeline.schedule.timezone,
            **dag_arguments(pipeline),
            params=trigger_form(pipeline.params),
            doc_md=doc_md(pipeline, playbooks),
        )
    except Exception as error:
        # The DAG's own checks: a default that its schema forbids, a value of the wrong type.
        where = ("dag",) if pipeline.dag else ("params",) if pipeline.params else ()
        message = f"Airflow does not take this DAG: {type(error).__name__}: {error}"
        raise BuildError([Problem(where, "dag", message, key=True)]) from error


def _steps(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> dict[str, BaseOperator]:
    """Every step's task.

    :raises BuildError: with what is wrong in all of them, not only in the first
    """
    tasks: dict[str, BaseOperator] = {}
    problems: list[Problem] = []
    for name, step in pipeline.steps.items():
        try:
            tasks[name] = operator_of(step, pipeline, others)
        except BuildError as error:
            problems += error.problems
    if problems:
        raise BuildError(problems)
    return tasks


def _sensor(wait: Wait, pipeline: Pipeline) -> WaitSensor:
    shared = retry_arguments(pipeline.retries, at_least=_SENSOR_RETRIES)
    shared |= {"pipeline": pipeline.name, "timezone": pipeline.schedule.timezone}
    if pipeline.owner:
        shared["owner"] = pipeline.owner
    if isinstance(wait, SourceWait):
        return SourceSensor(
            task_id=wait.task_id,
            source=wait.place,
            wait=wait.limit,
            aws_conn_id=pipeline.connections.aws,
            doc=f"Waits until {wait.place.dataset} is there.",
            **shared,
        )
    name = f"{wait.dag}.{wait.task}" if wait.task else wait.dag
    return UpstreamSensor(
        task_id=wait.task_id,
        upstream=wait.dag,
        upstream_step=wait.task,
        schedule=wait.schedule,
        latest=wait.latest,
        fail_fast=wait.fail_fast,
        wait=wait.limit,
        doc=f"Waits until {name} has succeeded " + ("once." if wait.latest else "for this run's window."),
        **shared,
    )


def _edges_of_waits(awaited: Iterable[Wait]) -> Iterator[tuple[str, str]]:
    for wait in awaited:
        for reader in wait.readers:
            yield wait.task_id, reader


def _join(edges: Iterable[tuple[str, str]], tasks: Mapping[str, BaseOperator]) -> None:
    """Every edge once: Airflow warns about a second."""
    for before, after in dict.fromkeys(edges):
        tasks[before] >> tasks[after]
