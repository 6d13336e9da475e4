"""The pipelines below a dags root, run in a test as DAGs: real operators on a scratch warehouse and a scratch S3."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from sluicegate.discovery.settings import environment
from sluicegate.emr.operator import SparkOperator
from sluicegate.factory.attempt import attempt
from sluicegate.factory.code_path import find_code
from sluicegate.factory.unplaced import placed
from sluicegate.graph.waits import listings, waits
from sluicegate.graph.window import Window
from sluicegate.pipeline import Pipeline, PipelineErrors, read_tree
from sluicegate.pipeline.diagnostics import did_you_mean
from sluicegate.pipeline.tree import Tree
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.testing.execution import Execution, StandInNeededError
from sluicegate.testing.outcome import PipelineRun
from sluicegate.testing.s3 import ScratchS3
from sluicegate.testing.supervisor import Run, Supervisor
from sluicegate.testing.warehouse import DeadLetter, Warehouse
from sluicegate.testing.windows import window_of

__all__ = ["Pipelines"]

_CONNECTION = re.compile(r"table://([\w.-]+)/")
_BUCKET = re.compile(r"s3[an]?://([a-z0-9.-]+)/")


class Pipelines:
    """Runs pipelines by name. What one of them has written, and that it has, the next finds.

    No connection of this machine is used: `table://…` is in `warehouse`, `s3://…` in `s3`, whatever their connections
    are called; others are in `connections`, by id.
    """

    def __init__(self, root: Path, warehouse: Warehouse, s3: ScratchS3) -> None:
        self.root = root.absolute()
        self.warehouse = warehouse
        self.s3 = s3
        self.connections: dict[str, str] = {}
        """Airflow connections as URIs or JSON, by id: for `operator:` steps, and in place of the two above."""
        self.runs: list[PipelineRun] = []
        """All runs of the test, those that failed included."""
        self._supervisor = Supervisor()
        self._known: Tree | None = None

    def put(self, uri: str, content: str | bytes) -> None:
        """Leave a file in S3, as a source system does; text is packed where the name ends in `.gz`."""
        self.s3.put(uri, content)

    def get(self, uri: str) -> bytes:
        """The content of a file in S3.

        :raises FileNotFoundError: when there is nothing.
        """
        return self.s3.get(uri)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a statement returns in the warehouse; `%s` is one of `values`."""
        return self.warehouse.rows(query, *values)

    def one(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        return self.warehouse.one(query, *values)

    def dead_letters(self, table: str = "") -> list[DeadLetter]:
        """The records that loads have set aside, all or those of one table: `public.flights`."""
        return self.warehouse.dead_letters(table)

    def run(
        self,
        name: str,
        window: str | Window | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        only: Sequence[str] = (),
        stand_in: Mapping[str, Callable[..., Any]] | None = None,
    ) -> PipelineRun:
        """Run a pipeline's steps in their order, each once.

        Steps that come after a failed one still run where their trigger rule says so; then the first error is raised,
        and the run is the last of `runs`.

        :param window: a day or time at which a window starts, in the schedule's time zone; or the window itself
        :param params: as a person gives them to a run, `dry_run` and `force` included
        :param only: the steps to run; what they need counts as done, and nothing is waited for
        :param stand_in: by step, a function that does its work. It is called with what it names of `reads`, `writes`,
            `params`, `window` and `item`
        :raises LookupError: when there is no such pipeline, or no such step.
        :raises PipelineErrors: when its file has errors.
        :raises StandInNeededError: before anything runs, when a step cannot run here.
        :raises FaultError: what went wrong in a step of ours; of an `operator:` step its own exception.
        """
        pipeline, upstreams = self._pipeline(name)
        stand_ins = dict(stand_in or {})
        for step in (*only, *stand_ins):
            _require(step, pipeline.steps, f"`{name}` has no step `{step}`")
        awaited = {wait.task_id for wait in waits(pipeline, upstreams)}
        tasks = _with_listings(pipeline, only or pipeline.steps) | (set() if only else awaited)
        when = window_of(pipeline.schedule, window)
        dag = self._dag(pipeline, upstreams)
        _refuse(dag, tasks, stand_ins)
        run, supervisor = self._run_of(name, when, dry=bool((params or {}).get("dry_run")))
        for bucket in _BUCKET.findall(" ".join(dataset.uri for dataset in pipeline.datasets.values())):
            self.s3.make_bucket(bucket)
        with self._connected((pipeline, *upstreams.values())):
            execution = Execution(dag, run, when, supervisor, tasks=tasks, params=params or {}, stand_ins=stand_ins)
            outcomes = execution.run()
        self.runs.append(PipelineRun(name, when, run.run_id, outcomes, frozenset(awaited)))
        if (error := self.runs[-1].error) is not None:
            raise error
        return self.runs[-1]

    @property
    def _tree(self) -> Tree:
        if self._known is None:
            find_code(self.root)
            self._known = read_tree(self.root, environment())
        return self._known

    def _pipeline(self, name: str) -> tuple[Pipeline, Mapping[str, Pipeline]]:
        """A good pipeline, and all that it may read from."""
        tree = self._tree
        if name in tree.pipelines:
            return tree.pipelines[name], tree.upstreams
        broken = [file for file in tree.files if file.stem == name]
        if name in tree.readable:
            broken = [tree.readable[name].file]
        for file in broken:
            raise PipelineErrors(tree.diagnostics_of(file), self.root)
        _require(name, tree.pipelines, f"no file below {self.root} makes a pipeline `{name}`")
        raise AssertionError(name)

    def _dag(self, pipeline: Pipeline, upstreams: Mapping[str, Pipeline]) -> PipelineDAG:
        built, unplaced = attempt(pipeline, upstreams)
        if built is None:
            raise placed(unplaced, pipeline.file, self.root)
        return built.dag

    def _run_of(self, name: str, window: Window, *, dry: bool) -> tuple[Run, Supervisor]:
        """The run of that window: again, if there was one. A dry run is not found by later ones."""
        run = Run(name, f"scheduled__{window.start.isoformat()}", window.start)
        others = [other for other in self._supervisor.runs if (other.dag_id, other.date) != (name, window.start)]
        if dry:
            return run, Supervisor(runs=[*others, run])
        self._supervisor.runs = [*others, run]
        return run, self._supervisor

    @contextmanager
    def _connected(self, pipelines: Sequence[Pipeline]) -> Iterator[None]:
        """The environment with the connections of a test, and no other."""
        uris = " ".join(dataset.uri for pipeline in pipelines for dataset in pipeline.datasets.values())
        found = dict.fromkeys(_CONNECTION.findall(uris), self.warehouse.connection)
        found |= {pipeline.connections.aws: self.s3.connection for pipeline in pipelines}
        ledgers = [pipeline.connections.ledger for pipeline in pipelines]
        found |= dict.fromkeys((ledger for ledger in ledgers if ledger is not None), self.warehouse.connection)
        found |= self.connections
        before = dict(os.environ)
        for key in [key for key in os.environ if key.startswith("AIRFLOW_CONN_")]:
            del os.environ[key]
        os.environ.update({f"AIRFLOW_CONN_{key.upper()}": value for key, value in found.items()})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _require(name: str, names: Mapping[str, object], why: str) -> None:
    if name not in names:
        meant = did_you_mean(name, names)
        raise LookupError(f"{why}" + (f"; did you mean `{meant}`?" if meant else f", but {', '.join(names)}"))


def _with_listings(pipeline: Pipeline, steps: Collection[str]) -> set[str]:
    """The ids of the tasks of `steps`, and of those that list files for them.

    :raises LookupError: for a step whose items another makes that is not to run.
    """
    listed = listings(pipeline)
    for name in steps:
        over = pipeline.steps[name].for_each
        if over is not None and over.output_of is not None and over.output_of not in steps:
            raise LookupError(f"`{name}` runs for each item that `{over.output_of}` returns: add it to `only`")
    return {*steps, *(listed[name] for name in steps if name in listed)}


def _refuse(dag: DAG, tasks: Collection[str], stand_ins: Collection[str]) -> None:
    """Raise StandInNeededError for a step that is known to need what no test has."""
    from airflow.sdk.bases.sensor import BaseSensorOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    for name in (name for name in dag.task_ids if name in tasks and name not in stand_ins):
        task = dag.get_task(name)
        kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
        if issubclass(kind, SparkOperator):
            raise StandInNeededError(name, "runs Spark on a cluster, and a test has none")
        if issubclass(kind, BaseSensorOperator):
            raise StandInNeededError(name, "waits for something outside")
