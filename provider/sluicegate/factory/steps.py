"""From a step of the file to its operator: one function for each kind. Nothing is joined here.

A task that starts pays for what is imported: each kind's operator is imported where it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

from sluicegate.factory.arguments.coerce import Typist
from sluicegate.factory.arguments.operators import argument_diagnostics, operator_class, typed_arguments
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.faults.retry import FaultRetryPolicy
from sluicegate.graph.datasets import files_location, folders_of, read_locations, write_locations
from sluicegate.graph.pools import pool_of
from sluicegate.graph.template import needs_item
from sluicegate.pipeline.keys.load import CheckOn
from sluicegate.pipeline.keys.model import (
    REFERENCED,
    FetchStep,
    LoadStep,
    OperatorStep,
    Pipeline,
    PythonStep,
    Retries,
    SparkStep,
    StepBase,
    TransformStep,
)
from sluicegate.runtime.operator import as_step

if TYPE_CHECKING:
    from airflow.sdk import TaskGroup, XComArg

    from sluicegate.pipeline.keys.model import Step
    from sluicegate.records.on_cluster import ClusterCheck

__all__ = ["Made", "Task", "files_task", "part_diagnostics", "retry_arguments", "task_of"]

Task = BaseOperator | MappedOperator
Call = tuple[type[BaseOperator], dict[str, Any]]
"""An operator, and what it is to be called with."""


class Made(NamedTuple):
    """A task, and what its operator was called with: operators do not keep that."""

    task: Task
    arguments: Mapping[str, Any]


def task_of(
    step: Step,
    pipeline: Pipeline,
    others: Mapping[str, Pipeline],
    *,
    group: TaskGroup | None = None,
    items: XComArg | None = None,
) -> Made:
    """The task of `step`, in no DAG yet.

    :param items: what the step is mapped over, unless the file lists it
    :raises BuildError: when an operator or its arguments do not exist, or Airflow refuses them.
    """
    try:
        operator, arguments = _operator_of(step, pipeline, others)
        if group is not None:
            arguments["task_group"] = group
        if step.for_each is not None:
            from sluicegate.factory.mapping import mapped

            return Made(mapped(operator, arguments, step.for_each, items), arguments)
        return Made(operator(**arguments), arguments)
    except BuildError:
        raise
    except Exception as error:
        # Whatever an operator's own constructor objects to belongs to the step and not to the factory.
        raise BuildError([UnplacedDiagnostic(("steps", step.name), "operator", _reason(error), key=True)]) from error


def files_task(step: StepBase, task_id: str, pipeline: Pipeline, *, group: TaskGroup | None = None) -> Made:
    """What lists the files that `step` is mapped over."""
    if step.for_each is None or step.for_each.files is None:
        raise ValueError(f"{step.name} is not mapped over files")
    from sluicegate.wait.files import FilesOperator

    arguments = dict(
        **({"owner": pipeline.owner} if pipeline.owner else {}),
        **retry_arguments(step.retries),
        pipeline=pipeline.name,
        timezone=pipeline.schedule.timezone,
        task_id=task_id,
        files=files_location(pipeline, step.for_each.files),
        empty=step.for_each.empty,
        aws_conn_id=pipeline.connections.aws,
        doc=f"Lists the files that `{step.name}` runs for.",
        task_group=group,
    )
    return Made(FilesOperator(**arguments), arguments)


def _operator_of(step: Step, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Call:
    match step:
        case LoadStep():
            return _load(step, pipeline, others)
        case FetchStep():
            return _fetch(step, pipeline)
        case SparkStep():
            return _spark(step, pipeline, others)
        case TransformStep():
            return _transform(step, pipeline, others)
        case PythonStep():
            return _python(step, pipeline, others)
        case OperatorStep():
            return _foreign(step, pipeline)
        case _:
            assert_never(step)


def _load(step: LoadStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Call:
    from sluicegate.load.operator import LoadOperator

    reads = read_locations(pipeline, step, others)
    source = reads["load"]
    references = {name.removeprefix(REFERENCED): at for name, at in reads.items() if name.startswith(REFERENCED)}
    into = write_locations(pipeline, step)["into"]
    arguments = dict(
        **_common(step, pipeline),
        **_ours(pipeline),
        source=source,
        into=into,
        **({"references": references} if references else {}),
        **step.each() | {"format": step.format or source.format},
        aws_conn_id=pipeline.connections.aws,
        **({"ledger_conn_id": pipeline.connections.ledger} if pipeline.connections.ledger else {}),
        **({"connection": source.connection} if source.connection else {}),
    )
    return LoadOperator, arguments


def _fetch(step: FetchStep, pipeline: Pipeline) -> Call:
    from sluicegate.sources.operator import FetchOperator

    arguments = dict(
        **_common(step, pipeline),
        **_ours(pipeline),
        fetch=step.fetch,
        into=write_locations(pipeline, step)["into"],
        ledger=pipeline.connections.ledger,
        aws_conn_id=pipeline.connections.aws,
    )
    return FetchOperator, arguments


def _spark(step: SparkStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Call:
    from sluicegate.emr.operator import SparkOperator

    arguments = dict(
        **_common(step, pipeline),
        **_ours(pipeline),
        jobs=step.jobs,
        cluster=step.cluster,
        cluster_name=step.cluster_name,
        **_bound(step, pipeline, others),
        max_runtime=step.max_runtime,
        artifacts=pipeline.artifacts,
        aws_conn_id=pipeline.connections.aws,
    )
    if checks := _checks(step, pipeline):
        arguments["checks"] = checks
    return SparkOperator, arguments


def _checks(step: SparkStep, pipeline: Pipeline) -> tuple[ClusterCheck, ...]:
    """What the loads of this pipeline ask on the cluster of the datasets that `step` writes."""
    loads = [one for one in pipeline.steps.values() if isinstance(one, LoadStep) and one.check_on is CheckOn.CLUSTER]
    if not loads:
        return ()
    from sluicegate.records.on_cluster import ClusterCheck, options_of

    bindings = {dataset: binding for binding, dataset in step.writes.items()}
    return tuple(
        ClusterCheck(load.name, bindings[load.load.dataset], options_of(load, pipeline))
        for load in loads
        if load.load.dataset in bindings
    )


def _bound(step: StepBase, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> dict[str, Any]:
    """The datasets that a step names, by binding."""
    return {
        "reads": read_locations(pipeline, step, others),
        "writes": write_locations(pipeline, step),
    }


def _transform(step: TransformStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Call:
    from sluicegate.transform.operator import TransformOperator

    arguments = dict(
        **_common(step, pipeline),
        **_ours(pipeline),
        function=step.function,
        **_bound(step, pipeline, others),
        with_=dict(step.with_),
        aws_conn_id=pipeline.connections.aws,
    )
    return TransformOperator, arguments


def _python(step: PythonStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Call:
    from sluicegate.transform.python import PythonStepOperator

    arguments = dict(
        **_common(step, pipeline),
        **_ours(pipeline),
        function=step.function,
        **_bound(step, pipeline, others),
        with_=dict(step.with_),
    )
    return PythonStepOperator, arguments


def part_diagnostics(step: Step | None, pipeline: Pipeline) -> list[UnplacedDiagnostic]:
    """What is wrong with the arguments that are known of a step which is not finished, because of an error in it."""
    if not isinstance(step, OperatorStep) or not step.with_:
        return []  # without arguments, those that are there may be under a key that is misspelt
    try:
        _typed(step, pipeline)
    except BuildError as error:
        return list(error.diagnostics)
    return []


def _typed(step: OperatorStep, pipeline: Pipeline) -> Call:
    """A foreign operator and the step's own arguments for it, as what it takes."""
    where = ("steps", step.name)
    operator = operator_class(step.operator, (*where, "operator"))
    typist = Typist(
        pipeline.root, pipeline.schedule.timezone, argument_diagnostics(operator, step.with_, (*where, "with"))
    )
    given = typed_arguments(operator, step.with_, (*where, "with"), typist)
    typist.diagnostics += _unfilled(step, operator)
    if typist.diagnostics:
        raise BuildError(typist.diagnostics)
    return operator, given


def _foreign(step: OperatorStep, pipeline: Pipeline) -> Call:
    operator, given = _typed(step, pipeline)
    arguments = _common(step, pipeline)
    if step.timeout is not None and issubclass(operator, BaseSensorOperator):
        # A sensor's own timeout also counts the time in which it does not run.
        arguments["timeout"] = step.timeout
    for own in ("inlets", "outlets"):  # what the file reads and writes, and what it says besides
        if given.get(own) and own in arguments:
            more = given[own] if isinstance(given[own], list) else [given[own]]
            given[own] = [*arguments[own], *more]
    return as_step(operator), arguments | given


def _unfilled(step: OperatorStep, operator: type[BaseOperator]) -> Iterator[UnplacedDiagnostic]:
    """Where a mapped step names its item, and Airflow fills in no template."""
    if step.for_each is None:
        return
    from sluicegate.pipeline.read.validate import leaves

    for name, value in step.with_.items():
        if name not in operator.template_fields and name != "map_index_template":
            for words, place in leaves(value, ("steps", step.name, "with", name)):
                if needs_item(words):
                    message = f"`{name}` is not a template field of {operator.__name__}: no item is filled in here"
                    yield UnplacedDiagnostic(place, "template", message)


def _common(step: StepBase, pipeline: Pipeline) -> dict[str, Any]:
    """What every operator takes, ours and foreign ones."""
    arguments: dict[str, Any] = {"task_id": step.name, **retry_arguments(step.retries)}
    use = pool_of(step, pipeline)
    optional = {
        "owner": pipeline.owner,
        "doc": step.description,
        "execution_timeout": step.timeout,
        "pool": use.pool if use is not None else None,
        "trigger_rule": step.trigger_rule,
        "inlets": _assets((read.dataset for read in step.reads.values()), pipeline),
        "outlets": _assets((*step.writes.values(), *folders_of(pipeline, step)), pipeline),
    }
    return arguments | {name: value for name, value in optional.items() if value}


def _ours(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "root": str(pipeline.root),
        "timezone": pipeline.schedule.timezone,
    }


def retry_arguments(retries: Retries, *, at_least: int = 0) -> dict[str, Any]:
    """The catalogue decides what is tried again, also for foreign operators; the numbers are the file's."""
    return dict(_retry_arguments(retries, at_least))


@lru_cache(maxsize=256)
def _retry_arguments(retries: Retries, at_least: int) -> Mapping[str, Any]:
    delay = retries.delay
    longest = max(delay, retries.max_delay)
    return {
        "retries": max(retries.count, at_least),
        "retry_delay": max(delay, timedelta(seconds=1)),
        "max_retry_delay": longest,
        "retry_exponential_backoff": 2.0,
        "retry_policy": FaultRetryPolicy(delay=delay, max_delay=longest, bugs=retries.bugs),
    }


def _assets(datasets: Iterable[str], pipeline: Pipeline) -> list[Asset]:
    """The named datasets as `pipeline.dataset`, for Airflow's lineage. No DAG is ever scheduled on them.

    A name alone: with a URI Airflow would look for its scheme in every provider, at every parse.
    """
    names = []
    for key in datasets:
        dataset = pipeline.datasets.get(key)
        if dataset is None:
            names.append(key)
        elif dataset.name is not None:
            names.append(f"{pipeline.name}.{dataset.name}")
    return [Asset(name) for name in dict.fromkeys(names)]


def _reason(error: Exception) -> str:
    text = str(error).strip() or "no reason given"
    return f"Airflow does not take this step: {type(error).__name__}: {text}"
