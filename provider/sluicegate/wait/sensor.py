"""The waiting steps that the factory adds: for steps of other pipelines, for other DAGs, for sources.

Each looks once where it runs and only then hands over to the triggerer, so that what is already there
costs no detour and what is not costs no worker.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.exceptions import AirflowSkipException

from sluicegate.faults import FaultError, fault
from sluicegate.graph.awaited import AwaitedRuns
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window, awaited_dates
from sluicegate.pipeline.keys.model import OnUpstreamSkipped, Schedule
from sluicegate.pipeline.text.quantities import format_duration
from sluicegate.runtime.marks import SKIPPED_XCOM_KEY
from sluicegate.runtime.operator import StepOperator, run_window
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.wait.source import Source
from sluicegate.wait.trigger import BROKEN, LATE, SourceTrigger, UpstreamTrigger, WaitTrigger
from sluicegate.wait.upstream import Upstream
from sluicegate.wait.verdict import ALL_THERE, Outcome, Sighting, verdict

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["SourceSensor", "UpstreamSensor", "WaitSensor"]

_POKE_INTERVAL = 30.0

_DEFER_SLACK = timedelta(minutes=5)
"""How much later than the trigger's deadline Airflow's own comes, which works without a triggerer."""


class WaitSensor(StepOperator):
    """Waits in the triggerer until the verdict on what it sees is not to wait any longer.

    :param wait: how long at most, counted from the start of this try; None waits for ever
    """

    ui_color = "#e6f1f2"

    def __init__(self, *, wait: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait = wait

    def circuits(self) -> tuple[str, ...]:
        """None: it waits anyway, and does not hurry."""
        return ()

    @abstractmethod
    def sightings(self, step: StepContext) -> Sequence[Sighting]:
        """What is waited for, as it is now."""

    @abstractmethod
    def trigger(self, step: StepContext, *, poke_interval: float, deadline: str | None) -> WaitTrigger:
        """What goes on waiting."""

    @abstractmethod
    def failure(self, outcome: str, seen: str) -> FaultError:
        """The fault to raise when the wait is over without success. `seen` says what is missing."""

    @property
    def fails_fast(self) -> bool:
        return False

    @property
    def skips(self) -> OnUpstreamSkipped:
        """What a skip of what is waited for means."""
        return OnUpstreamSkipped.WAIT

    def run(self, context: Context, step: StepContext) -> StepResult:
        seen = verdict(self.sightings(step), fail_fast=self.fails_fast, on_skipped=self.skips)
        if seen.outcome is Outcome.READY:
            _leave(context, seen.skipped)
            return StepResult(line=_there("there already: nothing to wait for", str(seen)))
        if seen.outcome is Outcome.SKIPPED:
            raise _skip(str(seen))
        if step.dry_run:
            raise AirflowSkipException(f"a dry run does not wait; not there yet: {seen}")
        if seen.outcome is Outcome.FAILED:
            raise self.failure(seen.outcome, str(seen))
        self.log.info("waiting for %s", seen)
        return self._defer(step)

    def _defer(self, step: StepContext) -> NoReturn:
        deadline = None if self.wait is None else (datetime.now(UTC) + self.wait).isoformat()
        self.defer(
            trigger=self.trigger(step, poke_interval=_poke_interval(), deadline=deadline),
            method_name="resume",
            timeout=None if self.wait is None else self.wait + _DEFER_SLACK,
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        error = (next_kwargs or {}).get("error")
        if next_method == TRIGGER_FAIL_REPR and error == TriggerFailureReason.TRIGGER_TIMEOUT:
            with self.reported(context):
                raise self.failure(LATE, f"{self.task_id} has no answer from the triggerer; is it running?")
        return super().resume_execution(next_method, next_kwargs, context)

    def resume(self, context: Context, event: Mapping[str, Any]) -> StepResult:
        """Go on with the trigger's event."""
        outcome, seen = event["outcome"], event["seen"]
        if outcome == BROKEN:
            raise fault(event["code"], event["detail"])
        if outcome == Outcome.SKIPPED:
            raise _skip(seen)
        if outcome != Outcome.READY:
            raise self.failure(outcome, seen)
        _leave(context, event.get("skipped") or [])
        return StepResult(line=_there("all there", seen))

    def _late(self) -> str:
        return "" if self.wait is None else f"after {format_duration(self.wait)} of waiting "


class UpstreamLink(BaseOperatorLink):
    """A button beside the waiting task that leads to the runs of the DAG it waits for."""

    name = "Upstream runs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        dag = operator.awaited_dag if isinstance(operator, UpstreamSensor) else ""
        return f"{conf.get('api', 'base_url', fallback='/').rstrip('/')}/dags/{dag}/runs"


class UpstreamSensor(WaitSensor):
    """Waits for a task of another DAG in its runs whose windows end inside this run's window.

    :param upstream: the DAG that is waited for
    :param upstream_step: its task; None: the whole DAG
    :param schedule: the upstream's, from which its windows come; None (a DAG that is not ours): its run
        at the start of this run's window
    :param latest: only that the task has succeeded once, in any run
    :param fail_fast: fail as soon as the upstream has failed, instead of waiting until it was cleared
    :param on_skipped: once all runs that are waited for have skipped the task: be skipped too, end as after a success,
        or wait until it was cleared. Where some have succeeded, only `wait` does not go on with those. With `latest` a
        skip in one run says nothing of the others, and is waited out unless it is to `run`
    """

    operator_extra_links = (UpstreamLink(),)
    # Without templates: Airflow lists with every instance what it has rendered, and so what the instance waits for.
    template_fields = ("awaited_dag", "awaited_task", "awaited_dates")

    def __init__(
        self,
        *,
        upstream: str,
        upstream_step: str | None,
        schedule: Schedule | None = None,
        latest: bool = False,
        fail_fast: bool = False,
        on_skipped: OnUpstreamSkipped | Literal["skip", "run", "wait"] = OnUpstreamSkipped.SKIP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # `upstream_*` are Airflow's names for relatives within the DAG.
        self.awaited_dag = upstream
        self.awaited_task = upstream_step
        self.awaited_dates: list[str] | None = None
        self.schedule = schedule
        self.latest = latest
        self.fail_fast = fail_fast
        self.on_skipped = OnUpstreamSkipped(on_skipped)

    @property
    def fails_fast(self) -> bool:
        return self.fail_fast

    @property
    def skips(self) -> OnUpstreamSkipped:
        waits_on = self.latest and self.on_skipped is not OnUpstreamSkipped.RUN
        return OnUpstreamSkipped.WAIT if waits_on else self.on_skipped

    def sightings(self, step: StepContext) -> Sequence[Sighting]:
        return self._upstream(step).sightings()

    def trigger(self, step: StepContext, *, poke_interval: float, deadline: str | None) -> WaitTrigger:
        upstream = self._upstream(step)
        dates = upstream.dates
        return UpstreamTrigger(
            awaited_dag=self.awaited_dag,
            awaited_task=self.awaited_task,
            dates=None if dates is None else [date.isoformat() for date in dates],
            marked=upstream.marked,
            poke_interval=poke_interval,
            deadline=deadline,
            fail_fast=self.fail_fast,
            on_skipped=self.skips.value,
        )

    def failure(self, outcome: str, seen: str) -> FaultError:
        name = self._upstream_name()
        if outcome == LATE:
            return fault("UPSTREAM_LATE", f"{self._late()}still open: {seen}", upstream=name, seen=seen)
        return fault("UPSTREAM_FAILED", seen, upstream=name, seen=seen)

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        with self.reported(context):
            self.awaited_dates = AwaitedRuns.at(self._dates(run_window(context))).value
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def _dates(self, window: Window) -> tuple[datetime, ...] | None:
        return awaited_dates(self.schedule, window, latest=self.latest)

    def _upstream_name(self) -> str:
        return f"{self.awaited_dag}.{self.awaited_task}" if self.awaited_task else self.awaited_dag

    def _upstream(self, step: StepContext) -> Upstream:
        dates = self._dates(step.window)
        if dates == ():
            raise fault(
                "WRONG_USE",
                f"no window of {self.awaited_dag} ends within {step.window}, the window of this run: "
                f"{self._upstream_name()} could have written nothing for it; run it for another window",
            )
        marked = self.latest or self.schedule is not None
        return Upstream(self.awaited_dag, self.awaited_task, dates, marked)


class SourceSensor(WaitSensor):
    """Waits until a source exists: a file, an object, a folder with something in it, or a row in a table.

    :param source: the place; rendered before the step runs
    :param matching: the place has wildcards: wait until a file matches
    :param connection: the connection that the place itself needs: for `https://` and `gs://`
    """

    template_fields = ("source",)
    sources = ("source",)

    def __init__(
        self,
        *,
        source: str | Location,
        aws_conn_id: str = "aws_default",
        matching: bool = False,
        connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.aws_conn_id = aws_conn_id
        self.matching = matching
        # Here, while it still is a location: a template field is a plain URI once it is rendered.
        said = source.format if isinstance(source, Location) else None
        self.success_marker = said is None or said.success_marker
        self.connection = connection or (source.connection if isinstance(source, Location) else None)

    def sightings(self, step: StepContext) -> Sequence[Sighting]:
        return Source(self._uris(), self.aws_conn_id, self.matching, self.success_marker, self.connection).sightings()

    def trigger(self, step: StepContext, *, poke_interval: float, deadline: str | None) -> WaitTrigger:
        return SourceTrigger(
            uris=self._uris(),
            aws_conn_id=self.aws_conn_id,
            matching=self.matching,
            success_marker=self.success_marker,
            connection=self.connection,
            poke_interval=poke_interval,
            deadline=deadline,
        )

    def failure(self, outcome: str, seen: str) -> FaultError:
        return fault("SOURCE_MISSING", f"{self._late()}not delivered: {seen}", seen=seen)

    def _uris(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else tuple(self.source)


def _leave(context: Context, skipped: Sequence[str]) -> None:
    """For those who read: which windows have written nothing."""
    if skipped:
        context["ti"].xcom_push(key=SKIPPED_XCOM_KEY, value=list(skipped))


def _there(line: str, seen: str) -> str:
    return line if seen == ALL_THERE else f"{line}, though {seen}"


def _skip(seen: str) -> AirflowSkipException:
    return AirflowSkipException(
        f"Skipped, as what it waits for: {seen}. Once that was cleared and has run, clear this task as well; the file "
        "says what a skip means with `on_upstream_skipped`"
    )


def _poke_interval() -> float:
    return float(conf.getfloat("sluicegate", "sensor_poke_interval", fallback=_POKE_INTERVAL))
