"""The operator behind `spark`: what Airflow knows of a try, given to the engine, and the engine's answers to Airflow.

Imported when a DAG is parsed: everything that talks to AWS is imported when a task runs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from sluicegate.emr.deployment import deployment_of
from sluicegate.emr.links import LINKS, addresses
from sluicegate.emr.names import RunKey
from sluicegate.emr.placement import placements
from sluicegate.emr.record import another_try, generation
from sluicegate.emr.request import cluster_request, not_after, plain_job, require_sound
from sluicegate.emr.spread import spread_start
from sluicegate.emr.tags import own_tags
from sluicegate.faults.errors import FaultError
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Cluster, Job
from sluicegate.runtime.circuit import circuits_of_task
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.emr.connection import Aws
    from sluicegate.emr.engine import Engine
    from sluicegate.emr.task import Ended, Wait
    from sluicegate.records.on_cluster import ClusterCheck

__all__ = ["SparkOperator"]

_DEFER_SLACK = timedelta(minutes=5)
"""How much later than the trigger's deadline Airflow's own comes, which works without a triggerer."""

_KILL_WAIT = 30.0
"""Seconds that `on_kill` may take."""


class SparkOperator(StepOperator):
    """Runs Spark jobs, one after the other, on an EMR cluster that lives for them alone.

    A retry goes on with the cluster that an earlier try has started, and a task that a person clears gets
    a new one. With `force` the clusters of earlier tries are ended and a new one is started, with which the retries
    go on. Returns `{"cluster_id", "name", "seconds", "steps": [{"name", "state", "seconds"}], "usage"}`, the last as
    `{"cluster_seconds", "instance_hours": {"on_demand", "spot"}, "machines": [{"market", "type", "count", "hours"}]}`,
    or None where AWS does not say.

    :param jobs: what `spark:` takes in a pipeline file: job files below `root` or `s3://` URIs, or mappings
    :param cluster: what the cluster is made of
    :param cluster_name: its key below `clusters:`; for messages and tags
    :param reads: binding to URI; the jobs get `--<binding> <uri>`, several URIs joined by commas
    :param writes: the same for what they write; these come after `reads`
    :param max_runtime: how long each job may run; enforced on the cluster itself
    :param artifacts: the S3 folder to which job files are uploaded, under the hash of their content
    :param root: the dags root
    :param checks: what loads ask of the records that are written here; each is a further job, behind all others
    :param timeout: how long a try may take, deferred time included; default: `execution_timeout`
    :param log_wait: how long to wait for a failed step's log
    """

    template_fields: Sequence[str] = ("jobs", "reads", "writes")
    sources = ("reads",)
    reads_elsewhere = True
    ui_color = "#f2e4d0"
    operator_extra_links = LINKS
    links: Mapping[str, str] | None = None
    """Where `LINKS` lead, by name; None before there is a cluster."""

    def __init__(
        self,
        *,
        jobs: Sequence[Job | Mapping[str, Any] | str],
        cluster: Cluster | Mapping[str, Any],
        artifacts: str,
        root: str,
        cluster_name: str = "",
        reads: Mapping[str, str | Location] | None = None,
        writes: Mapping[str, str | Location] | None = None,
        max_runtime: timedelta = timedelta(hours=4),
        checks: Sequence[ClusterCheck] = (),
        aws_conn_id: str | None = "aws_default",
        timeout: timedelta | None = None,
        log_wait: timedelta = timedelta(minutes=2),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.jobs: list[dict[str, Any]] = [plain_job(job) for job in jobs]
        if not isinstance(cluster, Cluster):  # written by hand; that of a pipeline file was checked in its place
            cluster = Cluster.model_validate(cluster)
            require_sound(cluster, [Job.model_validate(job) for job in self.jobs])
        self.cluster = cluster.model_dump(mode="json", by_alias=True, exclude_unset=True)
        self.cluster_name = cluster_name
        self.reads = dict(reads or {})
        self.writes = dict(writes or {})
        self.max_runtime = max_runtime
        self.checks = tuple(checks)
        self.artifacts = artifacts
        self.root = root
        self.aws_conn_id = aws_conn_id
        self.timeout = timeout
        self.log_wait = log_wait
        self._engine: Engine | None = None
        self._killed = False
        if not self.jobs:
            raise ValueError(f"{self.task_id}: `jobs` is empty")
        if max_runtime < timedelta(seconds=1):
            raise ValueError(f"{self.task_id}: `max_runtime` must be at least a second")
        if unbound := [check.binding for check in self.checks if check.binding not in self.writes]:
            raise ValueError(f"{self.task_id}: checks of what is not in `writes`: {', '.join(unbound)}")
        if both := sorted(self.reads.keys() & self.writes.keys()):
            raise ValueError(f"{self.task_id}: bound in `reads` and in `writes`: {', '.join(both)}")

    def circuits(self) -> tuple[str, ...]:
        """Those of what its jobs read and write, and AWS, whose clusters it starts."""
        return circuits_of_task(self, needs_aws=True)

    def run(self, context: Context, step: StepContext) -> StepResult:
        if step.dry_run:
            from airflow.sdk.exceptions import AirflowSkipException

            raise AirflowSkipException("Dry run: Spark jobs are not run, no cluster is started.")
        self._wait_for_turn(context, step)
        return self._begin(context, step)

    def begin(self, context: Context, event: Any) -> StepResult:
        """Once it is this pipeline's turn: find or start the cluster."""
        del event
        return self._begin(context, self.step_context(context))

    def _begin(self, context: Context, step: StepContext) -> StepResult:
        limit = self._limit()
        engine, aws = self._connect(context, step)
        return self._go_on(engine, aws, engine.begin(), None if limit is None else datetime.now(UTC) + limit)

    def resume(self, context: Context, event: Mapping[str, Any], until: str | None = None) -> StepResult:
        """After the trigger has fired: report how the cluster ended, or go on with another one."""
        engine, aws = self._connect(context, self.step_context(context))
        return self._go_on(engine, aws, engine.after(event), None if until is None else datetime.fromisoformat(until))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        # Airflow's own answer to a trigger that died or timed out raises at once, past the cluster.
        if next_method == TRIGGER_FAIL_REPR:
            given = next_kwargs or {}
            if traceback := given.get("traceback"):
                self.log.error("The trigger failed:\n%s", "".join(traceback))
            late = given.get("error") == TriggerFailureReason.TRIGGER_TIMEOUT
            event = {"outcome": "deadline"} if late else {"outcome": "failed", "detail": str(given.get("error"))}
            next_method, next_kwargs = "resume", {"event": event}
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """End the task's clusters by name, whether or not their ids are known yet."""
        self._killed = True
        if self._engine is None:
            return
        self._engine.stop()
        # This runs in a signal handler, on top of whatever the task was doing, and that may hold a lock.
        ending = threading.Thread(target=self._engine.end, args=("killed",), daemon=True)
        ending.start()
        ending.join(_KILL_WAIT)

    def _wait_for_turn(self, context: Context, step: StepContext) -> None:
        """Defer until the moment at which this pipeline may start clusters, in a scheduled run before that moment.

        Retries and cleared tasks come after it. A person who starts a run is not kept waiting.
        """
        spread, run = Cluster.model_validate(self.cluster).spread, context.get("dag_run")
        if spread is None or run is None or run.run_type != "scheduled":
            return
        start = spread_start(step.pipeline, run.run_after, spread)
        if datetime.now(UTC) >= start:
            return
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        self.log.info("Starting the cluster at %s: starts are spread over %s", f"{start:%H:%M:%S}", spread)
        self.defer(trigger=DateTimeTrigger(moment=start), method_name="begin")

    def _go_on(self, engine: Engine, aws: Aws, way: Wait | Ended | None, until: datetime | None) -> StepResult:
        from sluicegate.emr.outcome import cluster_facts, outcome
        from sluicegate.emr.task import Wait

        if way is None:
            from airflow.sdk.exceptions import AirflowTaskTerminated

            raise AirflowTaskTerminated("the task was ended while its cluster was being started")
        if isinstance(way, Wait):
            self.links = addresses(aws, way.cluster_id, self.cluster.get("log_uri") or "")
            self._wait(way, until)
        self.links = addresses(aws, way.cluster.cluster_id, way.cluster.log_uri, way.steps)
        with engine.reporting(way):
            try:
                found = outcome(way.cluster, way.steps, aws=aws, max_runtime=self.max_runtime, log_wait=self.log_wait)
            except FaultError as failed:
                self.facts = cluster_facts(way.cluster, way.steps, failed.facts.get("usage"))
                raise
            return StepResult(found, facts=cluster_facts(way.cluster, way.steps, found["usage"]))

    def _wait(self, way: Wait, until: datetime | None) -> NoReturn:
        from sluicegate.emr.trigger import ClusterTrigger

        now = datetime.now(UTC)
        deadline = way.deadline if until is None else min(way.deadline, until)
        self.log.info("Waiting for %s until %s at the latest", way.name, f"{deadline:%Y-%m-%d %H:%M:%S %Z}")
        self.defer(
            trigger=ClusterTrigger(
                aws_conn_id=self.aws_conn_id,
                cluster_id=way.cluster_id,
                key=asdict(way.key),
                since=now.isoformat(),
                deadline=deadline.isoformat(),
                steps=self._jobs,
                settled=way.settled,
            ),
            method_name="resume",
            kwargs={} if until is None else {"until": until.isoformat()},
            timeout=max(deadline - now, timedelta()) + _DEFER_SLACK,
        )

    def _connect(self, context: Context, step: StepContext) -> tuple[Engine, Aws]:
        from sluicegate.emr.client import EmrClient
        from sluicegate.emr.connection import Aws
        from sluicegate.emr.engine import Engine
        from sluicegate.emr.task import Try, Work

        aws, key, ti = Aws(self.aws_conn_id), self._run_key(step), context["ti"]
        max_tries = int(getattr(ti, "max_tries", 0) or 0)
        this = Try(
            generation=generation(max_tries, self.retries or 0),
            first=ti.try_number <= 1,
            again=another_try(ti.try_number, max_tries),
            force=step.force,
            since=getattr(context.get("dag_run"), "start_date", None),
        )
        work = Work(
            request=lambda attempt, placement: self._request(aws, key, step, this.generation, attempt, placement),
            max_runtime=self.max_runtime,
            jobs=self._jobs,
            placements=len(placements(self._cluster)),
            timeout=self._limit(),
        )
        self._engine = Engine(EmrClient(aws), step.store, key, this, work)
        if self._killed:  # while it was connecting
            self._engine.stop()
        return self._engine, aws

    def _request(
        self, aws: Aws, key: RunKey, step: StepContext, generation: str, attempt: int, placement: int
    ) -> dict[str, Any]:
        from sluicegate.emr.service_model import require_fit
        from sluicegate.emr.sizing import sized
        from sluicegate.emr.uploads import Uploads
        from sluicegate.storage.storage import Storage

        s3 = aws.client("s3", attempts=5)
        cluster, why = sized(self._cluster, self.reads, Storage(client=s3).size)
        if (places := placements(cluster))[1:]:
            self.log.info("Placement %d of %d: %s", placement + 1, len(places), places[placement])
        end = not_after(datetime.now(UTC), self.max_runtime, self._jobs)
        uploads = Uploads.to(s3, self.artifacts, Path(self.root))
        request = cluster_request(
            name=key.name(attempt),
            cluster=cluster,
            steps=uploads.steps(
                [Job.model_validate(job) for job in self.jobs],
                [check.narrowed(step.window, step.params) for check in self.checks],
                self.writes,
            ),
            bindings={**self.reads, **self.writes},
            max_runtime=self.max_runtime,
            placement=places[placement],
            bootstrap_uris=uploads.bootstrap_actions(cluster),
            tags=why
            | own_tags(
                key,
                attempt=attempt,
                pipeline=step.pipeline,
                cluster=self.cluster_name or "unnamed",
                not_after=end,
                generation=generation,
                placement=placement,
                steps=self._jobs,
            ),
        )
        if cluster.watchdog:
            request = uploads.watchdog(end).before(request)
        require_fit(request)
        return request

    @property
    def _cluster(self) -> Cluster:
        return Cluster.model_validate(self.cluster)

    @property
    def _jobs(self) -> int:
        return len(self.jobs) + len(self.checks)

    def _run_key(self, step: StepContext) -> RunKey:
        return RunKey(
            deployment=deployment_of(step.store),
            dag_id=self.dag_id,
            run_id=step.run_id,
            task_id=self.task_id,
            map_index=step.map_index,
        )

    def _limit(self) -> timedelta | None:
        return self.timeout or self.execution_timeout
