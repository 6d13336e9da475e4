"""The base of our operators: a run's window, dry run and force, and its errors as faults of the catalogue."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.report import described, forget, reported
from sluicegate.faults.retry import FaultRetryPolicy
from sluicegate.faults.rules import own_rules, ruled
from sluicegate.faults.section import Playbook
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window
from sluicegate.runtime.circuit import AFTER_CIRCUIT, circuits_of_task
from sluicegate.runtime.lifecycle import Life, living, unbegun
from sluicegate.runtime.marks import RECOVERY_KEY, RUN_XCOM_KEY, RunMark, is_forced, plan_of
from sluicegate.runtime.secrets import hide_params
from sluicegate.runtime.skipped import skipped_windows
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.runtime.subject import Place, places, subject_of

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

__all__ = [
    "StepOperator", "as_step", "before_operator_step", "mark_run", "run_window",
    "with_item",
]  # fmt: skip

_MAX_DELAY = timedelta(minutes=10)

log = logging.getLogger(__name__)


class StepOperator(BaseOperator):
    """Base of the `load`, `spark`, `transform` and `python` steps. Subclasses implement `run`.

    Whatever leaves `run`, a template or a method that a trigger resumes is classified, logged with its
    remedy and kept in the task's state store. Template fields may hold `Location` values, also within
    lists and mappings. Without a `retry_policy` the catalogue decides what is tried again, between the
    task's own `retry_delay` and `max_retry_delay`.

    :param pipeline: the pipeline that the step belongs to; the DAG's id unless given
    :param timezone: IANA name of the schedule's time zone; `ds` is the day there
    :param item: what a mapped task works on, for `.expand(item=…)`; templates know it by that name
    """

    sources: Sequence[str] = ()
    """Which of its template fields say what it reads."""
    reads_elsewhere = False
    """Whether what reads them is not ours, and says nothing of them: the receipt has the version that was there."""

    def __init__(self, *, pipeline: str | None = None, timezone: str = "UTC", item: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.timezone = timezone
        self.item = item
        self._reads: dict[Place, str] = {}
        self._asked_to_force = False
        self.facts: Mapping[str, Any] = {}
        """What is known of the work that goes on: a try that fails has it in its receipt, as a `StepResult` has it."""
        if self.retry_policy is None:
            self.retry_policy = FaultRetryPolicy(
                delay=self.retry_delay, max_delay=max(self.retry_delay, _seconds(self.max_retry_delay))
            )

    @abstractmethod
    def run(self, context: Context, step: StepContext) -> StepResult:
        """The work. Raises `FaultError`; whatever else comes out is classified.

        A method that a trigger resumes returns a `StepResult` as well.
        """

    def execute(self, context: Context) -> Any:
        with self._living(context) as (step, results):
            results.append(self.run(context, step))
            return self._succeeded(context, results[-1])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """What Airflow calls instead of `execute` once a trigger has fired, failed or timed out."""
        waited = next_method == AFTER_CIRCUIT
        with self._living(context, resumed=True, waited=waited) as (step, results):
            work = super().resume_execution
            results.append(self.run(context, step) if waited else work(next_method, next_kwargs, context))
            return self._succeeded(context, results[-1])

    def circuits(self) -> tuple[str, ...]:
        """The circuit breakers of what it needs, once its templates are rendered."""
        return circuits_of_task(self)

    def reported(self, context: Context) -> AbstractContextManager[None]:
        """Around work outside `run` and resumed methods: the same treatment of its errors."""
        return reported(
            cast("Mapping[str, Any]", context),
            playbook=Playbook.of(self.get_dag(), self._pipeline_name()),
            subject=self.subject,
            on_timeout=self.on_kill,
        )

    @contextmanager
    def _living(
        self, context: Context, *, resumed: bool = False, waited: bool = False
    ) -> Iterator[tuple[StepContext, list[StepResult]]]:
        """Around the work of a try: its end is reported, and observed."""
        with self._preparing(context):
            step = self.step_context(context)
        with (
            living(Life(self, context, step, resumed, waited)) as results,
            self.reported(context),
            by_own_rules(context),
        ):
            try:
                yield step, results
            except AirflowSkipException:
                # Those who wait for the step take a skip for an answer, unless the run was a dry run.
                mark_run(context)
                raise

    @contextmanager
    def _preparing(self, context: Context) -> Iterator[None]:
        """Around what comes before the work: a failure there is the try's end."""
        try:
            with self.reported(context), by_own_rules(context):
                yield
        except FaultError as error:
            with suppress(Exception):  # without a window there is no life of a step, and `error` is what matters
                unbegun(Life(self, context, self._bare_context(context)), error)
            raise

    def subject(self, error: FaultError) -> str:
        """What `error` is about, as far as it is known: another pipeline's step, or the dataset that was read."""
        return subject_of(error, self._pipeline_name(), self.read_places())

    def read_places(self) -> dict[Place, tuple[str, ...]]:
        """Where what it reads is in this run, once its templates are rendered."""
        return {place: place.uris(getattr(self, field)) for place, field in self._reads.items()}

    def step_context(self, context: Context) -> StepContext:
        """The run as the step sees it.

        :raises FaultError: WRONG_USE when the run has no time at all, or a flag is not a boolean.
        """
        params = dict(context.get("params") or {})
        store = context.get("task_state_store")
        mark = None if store is None else store.get(RECOVERY_KEY)
        self._asked_to_force = is_forced(mark)
        return replace(
            self._bare_context(context),
            dry_run=_flag(params, "dry_run"),
            force=_flag(params, "force") or self._asked_to_force,
            store=store,
            recovery=plan_of(mark),
        )

    def _bare_context(self, context: Context) -> StepContext:
        """The run without what a person has asked of it."""
        return StepContext(
            pipeline=self._pipeline_name(),
            step=self.task_id,
            run_id=context["run_id"],
            try_number=context["ti"].try_number,
            map_index=_map_index(context),
            window=run_window(context).in_zone(self.timezone),
            params=dict(context.get("params") or {}),
            item=self.item,
        )

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        if not isinstance(content, Location):
            return super().render_template(content, context, jinja_env, seen_oids)
        try:
            names = {"item": self.item} if _map_index(context) >= 0 else {}
            params, without = dict(context.get("params") or {}), skipped_windows(self, content, context)
            uris = content.render(run_window(context), params, without=without, **names)
        except ValueError as unrendered:
            raise fault("WRONG_USE", f"{content.dataset}: {content.template}: {unrendered}") from unrendered
        return uris[0] if len(uris) == 1 else list(uris)

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        # Overridden here and not in `render_template_fields`: a mapped task calls this one only.
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        hide_params(context)
        self._reads = {place: field for field in self.sources for place in places(getattr(self, field))}
        with self._preparing(context):
            window = run_window(context).in_zone(self.timezone)
            # A copy: Airflow keeps its context for callbacks and `operator:` steps, where `ds` is its own.
            own = {"window": window, "ds": window.ds} | ({"item": self.item} if _map_index(context) >= 0 else {})
            ours = cast("Context", {**context, **own})
            super()._do_render_template_fields(parent, template_fields, ours, jinja_env, seen_oids)

    def _succeeded(self, context: Context, result: StepResult) -> Any:
        """The value of the task's XCom, once the result is logged and the run is marked. Every success passes here."""
        if result.line:
            log.info("%s", result.line)
        mark_run(context)
        forget(cast("Mapping[str, Any]", context))
        if self._asked_to_force:
            self._forget_force(context)
        return result.value

    def _forget_force(self, context: Context) -> None:
        try:
            context["task_state_store"].delete(RECOVERY_KEY)
        except Exception as undeleted:
            log.warning("The next run of this task has `force` too, for its mark is still there: %r", undeleted)

    def _pipeline_name(self) -> str:
        return self.pipeline or self.dag_id


def run_window(context: Context) -> Window:
    """The data interval of the run; for a run without one, the moment it was made for, as an empty window.

    :raises FaultError: WRONG_USE when the run has no time at all.
    """
    run = context.get("dag_run")
    start = context.get("data_interval_start") or getattr(run, "data_interval_start", None)
    end = context.get("data_interval_end") or getattr(run, "data_interval_end", None)
    if start is None or end is None:
        moment = context.get("logical_date") or getattr(run, "run_after", None)
        if moment is None:
            raise fault("WRONG_USE", "the run has neither a data interval nor a time to run after")
        start = end = moment
    return Window(_utc(start), _utc(end))


def _map_index(context: Context) -> int:
    """-1 unless the task is mapped."""
    index = getattr(context.get("ti"), "map_index", None)
    return -1 if index is None else int(index)


def _utc(moment: datetime) -> datetime:
    """A plain datetime: Airflow's are pendulum's or proxies, and must print the same on the command line."""
    return datetime.fromtimestamp(0, UTC) + (moment - datetime.fromtimestamp(0, UTC))


def _flag(params: Mapping[str, Any], name: str) -> bool:
    value = params.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    # "false" is true in Python: an unwanted dry run, or an unwanted load.
    raise fault("WRONG_USE", f"the param {name} is true or false, not {value!r}")


def _seconds(value: timedelta | float | None) -> timedelta:
    if value is None:
        return _MAX_DELAY
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


@lru_cache(maxsize=1024)
def with_item(operator: type[BaseOperator]) -> type[BaseOperator]:
    """To map `operator` over items that its templates know as `item`: `with_item(X).partial(…).expand(item=[…])`.

    Operators of ours take an item; of any other this is a subclass that keeps it and is called the same.
    """
    if issubclass(operator, StepOperator):
        return operator

    class WithItem(operator):  # type: ignore[misc, valid-type]
        def __init__(self, *, item: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.item = item

    return _called_as(operator, WithItem)


@lru_cache(maxsize=1024)
def as_step(operator: type[BaseOperator]) -> type[BaseOperator]:
    """`operator`, which is not ours, with `before_operator_step` done before it runs, and observed as a step.

    A subclass that is called the same: of a hook Airflow stores the source, with every task that has it.
    """

    class Step(operator):  # type: ignore[misc, valid-type]
        is_step = True

        def pre_execute(self, context: Context) -> None:
            before_operator_step(context)
            super().pre_execute(context)

        def execute(self, context: Context) -> Any:
            with _observed(self, context):
                return super().execute(context)

        def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
            waited = next_method == AFTER_CIRCUIT
            with _observed(self, context, resumed=True, waited=waited):
                if waited:
                    return super().execute(context)
                return super().resume_execution(next_method, next_kwargs, context)

    return _called_as(operator, Step)


@contextmanager
def _observed(task: BaseOperator, context: Context, *, resumed: bool = False, waited: bool = False) -> Iterator[None]:
    """Around the work of an `operator:` step."""
    playbook = Playbook.of(task.get_dag(), task.dag_id)
    with (
        living(Life(task, context, _step_of(task, context), resumed, waited)),
        described(cast("Mapping[str, Any]", context), playbook=playbook),
        by_own_rules(context),
    ):
        yield
    forget(cast("Mapping[str, Any]", context))


def _step_of(task: BaseOperator, context: Context) -> StepContext:
    """The run as the observers of an `operator:` step see it."""
    zone = getattr(task.get_dag(), "window_timezone", "UTC")
    return StepContext(
        pipeline=task.dag_id,
        step=task.task_id,
        run_id=context["run_id"],
        try_number=context["ti"].try_number,
        map_index=_map_index(context),
        window=run_window(context).in_zone(zone),
        params=dict(context.get("params") or {}),
    )


@contextmanager
def by_own_rules(context: Context) -> Iterator[None]:
    """Around work whose errors the rules of its DAG (`PipelineDAG.fault_rules`) may make another fault."""
    try:
        yield
    except AirflowSensorTimeout:  # after which Airflow does not try again, whatever it is called
        raise
    except Exception as error:
        own = own_rules(cast("Mapping[str, object]", context))
        if not own or (found := ruled(error, classify(error), own)) is None:
            raise
        raise found from error


def _called_as(operator: type[BaseOperator], kind: type[BaseOperator]) -> type[BaseOperator]:
    kind.__name__, kind.__qualname__ = operator.__name__, operator.__qualname__
    kind.__module__, kind.__doc__ = operator.__module__, operator.__doc__
    return kind


def mark_run(context: Context) -> None:
    """Leave the `RunMark` of this run under `RUN_XCOM_KEY`."""
    dry_run = bool((context.get("params") or {}).get("dry_run"))
    context["ti"].xcom_push(key=RUN_XCOM_KEY, value=RunMark(run_window(context), dry_run).value)


def before_operator_step(context: Context) -> None:
    """Before an operator that is not ours runs, as its `pre_execute`: mark the run as our own steps do, and leave
    the step out of a dry run (AirflowSkipException).
    """
    hide_params(context)
    mark_run(context)
    if (context.get("params") or {}).get("dry_run"):
        raise AirflowSkipException("a dry run leaves `operator:` steps out: they cannot be taken back")
