"""Pipeline -> DAG. The passes are named in `build_dag`; each takes values and returns values.

Reads no pipeline file: what a file says wrong was said before, and what only an operator can object to
comes out as a `BuildError` with all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import TaskGroup

from sluicegate.factory.arguments.coerce import Typist
from sluicegate.factory.arguments.operators import dag_argument_diagnostics, typed_dag_arguments
from sluicegate.factory.callbacks import call_back
from sluicegate.factory.dag import dag_arguments, trigger_facts, trigger_form
from sluicegate.factory.deadline import deadline_of
from sluicegate.factory.docs import doc_md, playbook_page, playbooks_folder
from sluicegate.factory.fault_rules import fault_rules
from sluicegate.factory.steps import Made, Task, files_task, retry_arguments, task_of
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.faults.section import Playbook
from sluicegate.graph.groups import around, group_id
from sluicegate.graph.journal import journal_of
from sluicegate.graph.order import waves
from sluicegate.graph.waits import SourceWait, Wait, listings, task_edges, waits
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.model import Pipeline, Schedule, Step
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["BuiltDag", "build", "build_dag"]

_SENSOR_RETRIES = 2
"""At least: Airflow may fail a task that comes back from the triggerer for no reason of its own (#72716)."""


@dataclass(frozen=True)
class BuiltDag:
    """A DAG, and what it and its tasks, by id, were called with: neither keeps its arguments."""

    dag: PipelineDAG
    arguments: Mapping[str, Any]
    task_arguments: Mapping[str, Mapping[str, Any]]


def build_dag(pipeline: Pipeline, others: Mapping[str, Pipeline], *, playbooks: Path | None = None) -> PipelineDAG:
    """The DAG alone; as `build`."""
    return build(pipeline, others, playbooks=playbooks).dag


def build(pipeline: Pipeline, others: Mapping[str, Pipeline], *, playbooks: Path | None = None) -> BuiltDag:
    """The DAG of `pipeline`.

    :param others: the pipelines that it reads from, by name
    :param playbooks: the folder of playbooks, unless it is where it is always
    :raises BuildError: for operators and arguments that Airflow does not have or does not take
    """
    dag, arguments, unplaced = _dag(pipeline, playbooks or playbooks_folder(pipeline.root))
    groups = _groups(pipeline, dag)
    steps, more = _steps(pipeline, others, dag, groups)
    if unplaced or more:
        raise BuildError([*unplaced, *more])
    awaited = waits(pipeline, others)
    sensors = _sensors(awaited, pipeline, dag, groups)
    tasks = steps | sensors
    _join(task_edges(pipeline, awaited), tasks)
    _undo(pipeline, steps)
    called = {name: made.arguments for name, made in tasks.items()}
    if call_back(pipeline, dag, (made.task for made in tasks.values())):
        arguments["on_failure_callback"] = dag.on_failure_callback
        called = {
            name: {**given, "on_failure_callback": tasks[name].task.on_failure_callback}
            for name, given in called.items()
        }
    return BuiltDag(dag, arguments, called)


def _dag(pipeline: Pipeline, playbooks: Path) -> tuple[PipelineDAG, dict[str, Any], list[UnplacedDiagnostic]]:
    """The DAG without tasks, and its arguments. With diagnostics it is a bare one: the steps are still looked at."""
    typist = Typist(pipeline.root, pipeline.schedule.timezone, dag_argument_diagnostics(pipeline.dag, ("dag",)))
    further = typed_dag_arguments(pipeline.dag, ("dag",), typist)
    if pipeline.schedule.timetable is not None:
        further["schedule"] = _timetable(pipeline.schedule, typist)
    if typist.diagnostics:
        return PipelineDAG(pipeline.name, auto_register=False), {}, typist.diagnostics
    arguments: dict[str, Any] = {
        "source": str(pipeline.file),
        "window_timezone": pipeline.schedule.timezone,
        **dag_arguments(pipeline),
        **further,
        "doc_md": doc_md(pipeline, playbooks),
    }
    page = playbook_page(pipeline, playbooks).stem
    if (deadline := deadline_of(pipeline, Playbook(page, arguments["doc_md"]))) is not None:
        arguments["deadline"] = deadline
    if (journal := journal_of(pipeline)) is not None:
        arguments["journal"] = journal
    if pipeline.faults:
        arguments["fault_rules"] = fault_rules(pipeline)
    if page != pipeline.name:
        arguments["playbook"] = page
    try:
        dag = PipelineDAG(pipeline.name, **arguments)
    except Exception as error:
        # The DAG's own checks: a value of the wrong type.
        message = f"Airflow does not take this DAG: {type(error).__name__}: {error}"
        where = ("dag",) if pipeline.dag else ()
        return (
            PipelineDAG(pipeline.name, auto_register=False),
            {},
            [UnplacedDiagnostic(where, "dag", message, key=True)],
        )
    # Their defaults were checked when the file was read: the DAG would check them by JSON Schema at every parse.
    dag.params.update(trigger_form(pipeline.params, trigger_facts(pipeline)))
    dag.pipeline = pipeline
    return dag, arguments, []


def _timetable(said: Schedule, typist: Typist) -> Any:
    """Airflow's schedule; one that its scheduler could not read back is a diagnostic."""
    from airflow.serialization.encoders import encode_timetable

    where: Where = ("schedule",)
    made = typist.object({"timetable": said.timetable, "with": said.with_}, where, key="timetable")
    if made is not None:
        try:
            encode_timetable(made)
        except Exception as error:
            message = f"Airflow's scheduler cannot read `{said.timetable}` back: {error}"
            typist.diagnostics.append(UnplacedDiagnostic((*where, "timetable"), "schedule", message))
    return made


def _groups(pipeline: Pipeline, dag: PipelineDAG) -> dict[str, TaskGroup]:
    """By name, those that steps are in and those around them. A step's task keeps the step's name as its id."""
    found: dict[str, TaskGroup] = {}
    for step in pipeline.steps.values():
        outer: TaskGroup | None = None
        for group in around(step.group) if step.group is not None else ():
            if group not in found:
                label = group.rpartition(".")[2]
                found[group] = TaskGroup(
                    group_id(group), prefix_group_id=False, parent_group=outer, dag=dag, group_display_name=label
                )
            outer = found[group]
    return found


def _steps(
    pipeline: Pipeline, others: Mapping[str, Pipeline], dag: PipelineDAG, groups: Mapping[str, TaskGroup]
) -> tuple[dict[str, Made], list[UnplacedDiagnostic]]:
    """Every step's task, in `dag`, and the listings of files beside them; what is wrong in all that have none."""
    tasks: dict[str, Made] = {}
    unplaced: list[UnplacedDiagnostic] = []
    listed = listings(pipeline)
    for step in _makers_first(pipeline):
        group = groups.get(step.group or "")
        if step.name in listed:
            tasks[listed[step.name]] = files_task(step, listed[step.name], pipeline, group=group)
            dag.add_task(tasks[listed[step.name]].task)
        maker = listed.get(step.name) or (step.for_each.output_of if step.for_each is not None else None)
        if maker is not None and maker not in tasks:
            continue  # its own diagnostic is reported
        try:
            items = None if maker is None else tasks[maker].task.output
            tasks[step.name] = task_of(step, pipeline, others, group=group, items=items)
            _add(dag, tasks[step.name].task)
        except BuildError as error:
            unplaced += error.diagnostics
    return tasks, unplaced


def _add(dag: PipelineDAG, task: Task) -> None:
    try:
        dag.add_task(task)
    except Exception as error:
        # The DAG's objections to a step: a `trigger_rule` that does not go with `fail_fast`.
        message = f"Airflow does not take this step: {type(error).__name__}: {error}"
        raise BuildError([UnplacedDiagnostic(("steps", task.task_id), "operator", message, key=True)]) from error


def _makers_first(pipeline: Pipeline) -> Iterable[Step]:
    """The steps in the file's order, but what another is mapped over before that."""
    if all(step.for_each is None or step.for_each.output_of is None for step in pipeline.steps.values()):
        return pipeline.steps.values()
    makers = (
        (step.for_each.output_of, name)
        for name, step in pipeline.steps.items()
        if step.for_each is not None and step.for_each.output_of is not None
    )
    return [pipeline.steps[name] for wave in waves(makers, pipeline.steps) for name in wave]


def _sensors(
    awaited: Iterable[Wait], pipeline: Pipeline, dag: PipelineDAG, groups: Mapping[str, TaskGroup]
) -> dict[str, Made]:
    """Every wait's task, in `dag`; in a group where all who wait are in that one."""
    sensors: dict[str, Made] = {}
    for wait in awaited:
        names = {pipeline.steps[reader].group for reader in wait.readers}
        group = groups.get(names.pop() or "") if len(names) == 1 else None
        sensors[wait.task_id] = _sensor(wait, pipeline, group)
        dag.add_task(sensors[wait.task_id].task)
    return sensors


def _sensor(wait: Wait, pipeline: Pipeline, group: TaskGroup | None) -> Made:
    from sluicegate.wait.sensor import SourceSensor, UpstreamSensor

    shared = retry_arguments(pipeline.retries, at_least=_SENSOR_RETRIES)
    shared |= {"pipeline": pipeline.name, "timezone": pipeline.schedule.timezone, "task_group": group}
    if pipeline.owner:
        shared["owner"] = pipeline.owner
    if isinstance(wait, SourceWait):
        arguments = dict(
            **shared,
            task_id=wait.task_id,
            source=wait.place,
            wait=wait.limit,
            matching=wait.matching,
            aws_conn_id=pipeline.connections.aws,
            doc=f"Waits until {wait.place.dataset} is there.",
        )
        return Made(SourceSensor(**arguments), arguments)
    name = f"{wait.dag}.{wait.task}" if wait.task else wait.dag
    arguments = dict(
        **shared,
        task_id=wait.task_id,
        upstream=wait.dag,
        upstream_step=wait.task,
        schedule=wait.schedule,
        latest=wait.latest,
        fail_fast=wait.fail_fast,
        on_skipped=wait.on_skipped.value,
        wait=wait.limit,
        doc=f"Waits until {name} has succeeded " + ("once." if wait.latest else "for this run's window."),
    )
    return Made(UpstreamSensor(**arguments), arguments)


def _join(edges: Iterable[tuple[str, str]], tasks: Mapping[str, Made]) -> None:
    """What `before >> after` comes to between tasks of one DAG, without finding out for each that it is one."""
    for before, after in edges:
        tasks[before].task.downstream_task_ids.add(after)
        tasks[after].task.upstream_task_ids.add(before)


def _undo(pipeline: Pipeline, tasks: Mapping[str, Made]) -> None:
    """Setups and their teardowns; the edges between them are there."""
    for name, step in pipeline.steps.items():
        if step.teardown_of is not None:
            for setup in step.teardown_of.steps:
                tasks[setup].task.as_setup()  # type: ignore[no-untyped-call]
            tasks[name].task.as_teardown(on_failure_fail_dagrun=step.teardown_of.fail_run)
