"""One run of a DAG, task by task in their order, in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    DagRunTriggerException,
    DownstreamTasksSkipped,
    TaskDeferred,
)

from sluicegate.graph.order import waves
from sluicegate.graph.window import Window
from sluicegate.testing.outcome import StepOutcome
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run, Supervisor
from sluicegate.testing.trigger_rule import FAILED, MISSING, SKIPPED, SUCCESS, UPSTREAM_FAILED, verdict
from sluicegate.wait.sensor import SourceSensor, WaitSensor
from sluicegate.wait.trigger import LATE
from sluicegate.wait.verdict import verdict as verdict_on

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

__all__ = ["Execution", "StandInNeededError"]


class StandInNeededError(Exception):
    """A step whose work cannot be done here: a test gives it a stand-in, or leaves it out."""

    def __init__(self, task_id: str, why: str) -> None:
        super().__init__(
            f'`{task_id}` {why}: do its work with run(…, stand_in={{"{task_id}": function}}), '
            "or run the other steps alone with run(…, only=[…])"
        )


class Execution:
    """The tasks of `dag`, each once: no retries, callbacks, pools or time limits. One that fails does not end the run.

    :param tasks: the ids of those to run; what is before them and not among them counts as done
    :param stand_ins: by task id, what does the work in place of the operator
    """

    def __init__(
        self,
        dag: DAG,
        run: Run,
        window: Window,
        supervisor: Supervisor,
        *,
        tasks: Collection[str],
        params: Mapping[str, Any],
        stand_ins: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.outcomes: dict[str, StepOutcome] = {}
        self._dag, self._run, self._window, self._supervisor = dag, run, window, supervisor
        self._params, self._stand_ins = params, stand_ins
        links = [(task.task_id, after) for task in dag.tasks for after in sorted(task.downstream_task_ids)]
        self._order = [name for wave in waves(links, dag.task_ids) for name in wave if name in tasks]

    def run(self) -> Mapping[str, StepOutcome]:
        """What became of each task, in the order in which they ran."""
        self._supervisor.skipped.clear()
        for name in self._order:
            self.outcomes[name] = self._outcome(self._dag.get_task(name))
        states = self._states(self.outcomes)
        self._run.state = FAILED if {FAILED, UPSTREAM_FAILED} & set(states) else SUCCESS
        return self.outcomes

    def _outcome(self, task: Any) -> StepOutcome:
        before = sorted(task.upstream_task_ids)
        setups = [name for name in before if self._dag.get_task(name).is_setup]
        state = verdict(TriggerRule(task.trigger_rule).value, self._states(before), self._states(setups))
        if task.task_id in self._supervisor.skipped:
            state = SKIPPED
        if state is not None:
            self._run.states[task.task_id, -1] = state
            return StepOutcome(task.task_id, state)
        if not isinstance(task, MappedOperator):
            return self._instance(task, -1)
        instances = tuple(self._instance(task, index) for index in range(_length(task, self._run)))
        if not instances:
            self._run.states[task.task_id, -1] = SKIPPED
        states = {each.state for each in instances}
        state = next((each for each in (FAILED, SUCCESS) if each in states), SKIPPED)
        error = next((each.error for each in instances if each.error is not None), None)
        return StepOutcome(task.task_id, state, [each.value for each in instances], error, instances)

    def _states(self, names: Collection[str]) -> list[str]:
        return [self.outcomes[name].state if name in self.outcomes else SUCCESS for name in names]

    def _instance(self, task: BaseOperator | MappedOperator, index: int) -> StepOutcome:
        instance = StepInstance(
            task, self._window, params=self._params, supervisor=self._supervisor, run=self._run, map_index=index
        )
        state, value, error = self._ended(instance)
        self._run.states[task.task_id, index] = None if state == MISSING else state
        return StepOutcome(task.task_id, state, value, error)

    def _ended(self, instance: StepInstance) -> tuple[str, Any, BaseException | None]:
        name = instance.operator.task_id
        stand_in = self._stand_ins.get(name)
        try:
            return SUCCESS, instance.execute() if stand_in is None else instance.stand_in(stand_in), None
        except AirflowSkipException:
            return SKIPPED, None, None
        except DownstreamTasksSkipped as skip:
            skipped = [skip.tasks] if isinstance(skip.tasks, str) else skip.tasks
            self._supervisor.skipped += [each if isinstance(each, str) else each[0] for each in skipped]
            return SUCCESS, None, None
        except TaskDeferred:
            return _waiting(instance)
        except (AirflowRescheduleException, DagRunTriggerException) as other:
            return FAILED, None, StandInNeededError(name, f"needs a running Airflow ({type(other).__name__})")
        except Exception as error:
            return FAILED, instance.xcoms.get("return_value"), error


def _waiting(instance: StepInstance) -> tuple[str, Any, BaseException | None]:
    """What becomes of a step that would wait now: nothing will come while a test runs.

    A source that is missing is the fault of a wait whose time is over. What another pipeline writes the test may have
    put there itself.
    """
    task = instance.executed
    if not isinstance(task, WaitSensor):
        return FAILED, None, StandInNeededError(instance.operator.task_id, "waits in Airflow's triggerer")
    if not isinstance(task, SourceSensor):
        return MISSING, None, None
    with instance.supervisor.attached():
        seen = verdict_on(task.sightings(task.step_context(instance.context())))
    return FAILED, None, task.failure(LATE, str(seen))


def _length(task: MappedOperator, run: Run) -> int:
    """How many instances a mapped task has."""
    from airflow.sdk.definitions.xcom_arg import PlainXComArg

    over: Any = task._get_specified_expand_input()
    items = over.value["item"]
    if not isinstance(items, PlainXComArg):
        return len(items)
    maker = items.operator
    values = run.values(maker.task_id, items.key)
    if isinstance(maker, MappedOperator):
        return len(values)
    return len(values[0]) if values else 0
