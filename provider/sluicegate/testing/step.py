"""One step, rendered and executed as Airflow's task runner does, without an Airflow that runs."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sluicegate.graph.window import Window
from sluicegate.testing.supervisor import Run, Supervisor

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator

__all__ = ["StepInstance"]


class StepInstance:
    """One task instance. Each `execute` or `resume` is a new worker: what survives is in the supervisor.

    Retries, callbacks and alerts are not part of it: what goes wrong is raised, Airflow's own exceptions for a
    deferral or a skip included.

    :param operator: in a DAG; it stays as it is, what is rendered and executed is a copy
    :param window: the data interval of the run
    :param params: as a person gives them to a run
    :param logical_date: the start of the window unless given
    :param run: the run that the instance belongs to, where several share one
    :param map_index: which instance of a mapped task, counted from 0
    """

    def __init__(
        self,
        operator: BaseOperator | MappedOperator,
        window: Window,
        *,
        params: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        supervisor: Supervisor | None = None,
        run: Run | None = None,
        map_index: int = -1,
    ) -> None:
        self.operator = operator
        self.window = window
        self.params = dict(params or {})
        self.supervisor = supervisor or Supervisor()
        date = logical_date or window.start
        self.run = run or Run(operator.dag_id, f"manual__{date.astimezone(UTC).isoformat()}", date)
        if self.run not in self.supervisor.runs:
            self.supervisor.runs.append(self.run)
        self.map_index = map_index
        self.try_number = 1
        self.max_tries = int(operator.retries or 0)
        self.executed: Any = None
        """The operator that was rendered and executed last."""
        self.id = uuid.uuid4()

    @property
    def store(self) -> dict[str, Any]:
        """The state store of the instance."""
        return self.supervisor.stores.setdefault(self.id, {})

    @property
    def xcoms(self) -> dict[str, Any]:
        """By key, what the instance has left."""
        own = (self.operator.task_id, self.map_index)
        return {key: value for (task, index, key), value in self.run.xcoms.items() if (task, index) == own}

    def execute(self) -> Any:
        """What the step returns; it is its XCom too."""
        return self._execute(lambda task: task.execute)

    def resume(self, method: str, kwargs: Mapping[str, Any]) -> Any:
        """As `execute`, of a step that has deferred itself: go on with `method`, as after a trigger's event."""
        return self._execute(lambda task: partial(task.resume_execution, next_method=method, next_kwargs=dict(kwargs)))

    def stand_in(self, function: Callable[..., Any]) -> Any:
        """As `execute`, with `function` in place of the operator's work.

        It is called with what it names of `reads` and `writes` (URI, or list of URIs, by binding), `params`, `window`
        and, in a mapped task, `item`. A dry run leaves it out.

        :raises FaultError: WRONG_USE when it wants anything else.
        """
        return self._execute(lambda task: partial(_stand_in, function, task))

    def _execute(self, entry: Callable[[Any], Callable[..., Any]]) -> Any:
        from airflow.sdk.bases.operator import ExecutorSafeguard
        from airflow.sdk.execution_time.context import set_current_context

        with self.supervisor.attached():
            context = self.context()
            ti = context["ti"]
            with set_current_context(context):
                task = self._rendered(context)
                if task._pre_execute_hook is not None:
                    task._pre_execute_hook(context)
                task.pre_execute(context)
                runner = contextvars.copy_context()
                runner.run(ExecutorSafeguard.tracker.set, task)
                result = runner.run(entry(task), context=context)
                if task._post_execute_hook is not None:
                    task._post_execute_hook(context, result)
                task.post_execute(context, result)
            if result is not None and task.do_xcom_push:
                ti.xcom_push("return_value", result)
        return result

    def _rendered(self, context: Context) -> Any:
        ti: Any = context["ti"]
        ti.task = ti.task.prepare_for_execution()
        context["task"] = ti.task
        ti.render_templates(context, ti.task.dag.get_template_env())
        self.executed = ti.task
        return ti.task

    def context(self) -> Context:
        from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        now = datetime.now(UTC)
        dag_run = DagRun.model_construct(
            dag_id=self.run.dag_id, run_id=self.run.run_id, run_type=_run_type(self.run.run_id), state="running",
            logical_date=self.run.date, run_after=self.window.end, start_date=now, end_date=None,
            data_interval_start=self.window.start, data_interval_end=self.window.end,
            conf=self.params, consumed_asset_events=[], partition_key=None,
        )  # fmt: skip
        ti = RuntimeTaskInstance.model_construct(
            id=self.id, task_id=self.operator.task_id, dag_id=self.run.dag_id, run_id=self.run.run_id,
            dag_version_id=uuid.UUID(int=0), map_index=self.map_index, hostname="localhost", start_date=now,
            task=self.operator, try_number=self.try_number, max_tries=self.max_tries, bundle_instance=None,
            _ti_context_from_server=TIRunContext.model_construct(dag_run=dag_run, max_tries=self.max_tries),
        )  # fmt: skip
        context: Context = ti.get_template_context()
        return context


def _run_type(run_id: str) -> str:
    """As Airflow names its runs."""
    kind = run_id.partition("__")[0]
    return kind if kind in ("scheduled", "backfill") else "manual"


def _stand_in(function: Callable[..., Any], task: Any, context: Context) -> Any:
    from airflow.sdk.exceptions import AirflowSkipException

    from sluicegate.runtime.code import arguments_for
    from sluicegate.runtime.operator import mark_run, run_window

    params = dict(context.get("params") or {})
    if params.get("dry_run"):
        mark_run(context)
        raise AirflowSkipException("a dry run leaves out what has a stand-in")
    offered = {
        "reads": dict(getattr(task, "reads", {})),
        "writes": dict(getattr(task, "writes", {})),
        "params": params,
        "window": run_window(context).in_zone(getattr(task, "timezone", "UTC")),
        "item": getattr(task, "item", None),
    }
    names = arguments_for(f"the stand-in of {task.task_id}, {function.__name__}", function, {}, offered)
    result = function(**{name: offered[name] for name in names})
    mark_run(context)
    return result
