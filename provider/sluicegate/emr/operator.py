"""The operator behind `spark`: starts or finds the cluster, waits in the triggerer, says how it ended.

Imported when a DAG is parsed: everything that talks to AWS is imported when a task runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from sluicegate.emr.names import DEFAULT_DEPLOYMENT, RunKey
from sluicegate.emr.record import Record, another_try, generation
from sluicegate.emr.request import Submit, cluster_request, not_after, plain_job
from sluicegate.emr.tags import ENDED_BY, NOT_AFTER, own_tags
from sluicegate.emr.verdict import complete
from sluicegate.faults import TransientFault, classify, fault
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Cluster, Job
from sluicegate.pipeline.text.quantities import format_duration
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.emr.attempt import Found
    from sluicegate.emr.client import EmrClient
    from sluicegate.emr.connection import Aws
    from sluicegate.emr.verdict import ClusterStatus, StepStatus
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
    go on. Returns `{"cluster_id", "name", "seconds", "steps": [{"name", "state", "seconds"}]}`.

    :param jobs: job files below `root` or `s3://` URIs, with their arguments
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
    ui_color = "#f2e4d0"

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
        self.cluster = Cluster.model_validate(cluster).model_dump(mode="json")
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
        self._aws: Aws | None = None
        self._client: EmrClient | None = None
        self._key: RunKey | None = None
        self._killed = False
        if not self.jobs:
            raise ValueError(f"{self.task_id}: `jobs` is empty")
        if max_runtime < timedelta(seconds=1):
            raise ValueError(f"{self.task_id}: `max_runtime` must be at least a second")
        if unbound := [check.binding for check in self.checks if check.binding not in self.writes]:
            raise ValueError(f"{self.task_id}: checks of what is not in `writes`: {', '.join(unbound)}")
        if both := sorted(self.reads.keys() & self.writes.keys()):
            raise ValueError(f"{self.task_id}: bound in `reads` and in `writes`: {', '.join(both)}")

    def run(self, context: Context, step: StepContext) -> StepResult:
        if step.dry_run:
            from airflow.sdk.exceptions import AirflowSkipException

            raise AirflowSkipException("Dry run: Spark jobs are not run, no cluster is started.")
        limit = self._limit()
        return self._go_on(context, step, None if limit is None else datetime.now(UTC) + limit)

    def resume(self, context: Context, event: Mapping[str, Any], until: str | None = None) -> StepResult:
        """After the trigger has fired: report how the cluster ended, or go on with another one."""
        step = self.step_context(context)
        client, key = self._connect(step)
        with self._cleaned(context):
            outcome = event["outcome"]
            if outcome == "error":
                raise fault(event["code"], event["detail"], cluster_id=event["cluster_id"])
            if outcome == "failed":
                raise fault("UNKNOWN", f"the trigger failed: {event['detail']}")
            if outcome == "deadline":
                cluster_id = self._done_after_all(client, key, context, step)
            else:
                cluster_id = event["cluster_id"]
            cluster, steps = client.describe(cluster_id), client.steps(cluster_id)
            ended_by = cluster.tags.get(ENDED_BY)
            if cluster.terminal and (complete(steps) or not ended_by):
                return self._report(context, step, cluster, steps)
        if ended_by:
            # A duplicate that lost, or an earlier try that was killed after this one had found its cluster.
            self.log.info("%s was ended by Sluicegate itself (%s)", cluster.name, ended_by)
        return self._go_on(context, step, None if until is None else datetime.fromisoformat(until))

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
        if self._key is None:
            return
        # This runs in a signal handler, on top of whatever the task was doing, and that may hold a lock.
        ending = threading.Thread(target=self._end_clusters, args=("killed",), daemon=True)
        ending.start()
        ending.join(_KILL_WAIT)

    def _go_on(self, context: Context, step: StepContext, until: datetime | None) -> StepResult:
        """Find or start the cluster, then report on it if it is done, else wait for it."""
        from sluicegate.emr.launch import find_or_start

        client, key = self._connect(step)
        with self._cleaned(context):
            record, clusters = self._find(client, key, step, context)
            launched = find_or_start(
                client,
                key,
                found=clusters,
                since=record.since,
                settled=record.settled(self._generation(context)),
                request=lambda attempt: self._request(key, step, attempt),
                stopped=lambda: self._killed,
            )
            if launched is None:
                from airflow.sdk.exceptions import AirflowTaskTerminated

                raise AirflowTaskTerminated("the task was ended while its cluster was being started")
            cluster = client.describe(launched.cluster_id)
            if launched.done:
                return self._report(context, step, cluster, client.steps(launched.cluster_id))
        return self._wait(cluster, until)

    def _find(self, client: EmrClient, key: RunKey, step: StepContext, context: Context) -> tuple[Record, list[Found]]:
        """The clusters of this task, and its record: the intent, written before there can be a cluster."""
        record = Record.read(step.store)
        if record is not None:
            clusters = client.find(key, since=record.since)
        else:
            now = datetime.now(UTC)
            clusters = client.find(key, since=now)
            # What ended before the first try was reported once: the store has been emptied since.
            ended = [found.attempt for found in clusters if not found.promising]
            record = Record(since=now, finished_attempt=max(ended, default=0))
            record.write(step.store)
        generation = self._generation(context)
        if not step.force or record.forced == generation:
            return record, clusters
        # Ended first: a try that dies in between has started nothing yet, and the next one ends them again.
        client.terminate([found.cluster_id for found in clusters if found.live], why="forced")
        record = record.restarted([found.attempt for found in clusters], generation)
        record.write(step.store)
        return record, []

    def _request(self, key: RunKey, step: StepContext, attempt: int) -> dict[str, Any]:
        from sluicegate.emr.artifacts import upload

        jobs = [Job.model_validate(job) for job in self.jobs]
        s3, root = self._connection().client("s3", attempts=5), Path(self.root)
        submits = [Submit(upload(s3, j.path, root=root, artifacts=self.artifacts), j.args) for j in jobs]
        end = not_after(datetime.now(UTC), self.max_runtime, self._jobs)
        return cluster_request(
            name=key.name(attempt),
            cluster=Cluster.model_validate(self.cluster),
            submits=[*submits, *self._check_jobs(s3, root)],
            bindings={**self.reads, **self.writes},
            max_runtime=self.max_runtime,
            tags=own_tags(
                key,
                attempt=attempt,
                pipeline=step.pipeline,
                cluster=self.cluster_name or "unnamed",
                not_after=end,
            ),
        )

    @property
    def _jobs(self) -> int:
        return len(self.jobs) + len(self.checks)

    def _check_jobs(self, s3: Any, root: Path) -> list[Submit]:
        """The jobs that check what the others wrote."""
        from sluicegate.checks.spark import spark_job
        from sluicegate.emr.artifacts import upload_content
        from sluicegate.records.on_cluster import checked_folder, cluster_plan

        found = []
        for check in self.checks:
            source = self.writes[check.binding]
            [folder] = [source] if isinstance(source, str) else list(source)  # type: ignore[call-overload]
            job = upload_content(s3, spark_job().encode(), "check.py", artifacts=self.artifacts)
            plan = cluster_plan(check.options, root).encode()
            uploaded = upload_content(s3, plan, f"{check.load}.json", artifacts=self.artifacts)
            words = {"plan": uploaded, "source": str(folder), "to": checked_folder(str(folder), check.load)}
            found.append(
                Submit(job, tuple(word for name, value in words.items() for word in (f"--{name}", value)), bound=False)
            )
        return found

    def _wait(self, cluster: ClusterStatus, until: datetime | None) -> NoReturn:
        from sluicegate.emr.trigger import ClusterTrigger

        now = datetime.now(UTC)
        tag = cluster.tags.get(NOT_AFTER)
        end = datetime.fromisoformat(tag) if tag else not_after(now, self.max_runtime, self._jobs)
        deadline = end if until is None else min(end, until)
        self.log.info("Waiting for %s until %s at the latest", cluster.name, f"{deadline:%Y-%m-%d %H:%M:%S %Z}")
        self.defer(
            trigger=ClusterTrigger(
                aws_conn_id=self.aws_conn_id,
                cluster_id=cluster.cluster_id,
                since=now.isoformat(),
                deadline=deadline.isoformat(),
            ),
            method_name="resume",
            kwargs={} if until is None else {"until": until.isoformat()},
            timeout=max(deadline - now, timedelta()) + _DEFER_SLACK,
        )

    def _report(
        self, context: Context, step: StepContext, cluster: ClusterStatus, steps: Sequence[StepStatus]
    ) -> StepResult:
        from sluicegate.emr.outcome import outcome

        result = outcome(
            cluster,
            steps,
            aws=self._connection(),
            max_runtime=self.max_runtime,
            log_wait=self.log_wait,
        )
        record = Record.read(step.store) or Record(since=cluster.created or datetime.now(UTC))
        attempt = self._run_key(step).attempt(cluster.name) or 0
        record.finished(attempt, self._generation(context)).write(step.store)
        return StepResult(result)

    def _done_after_all(self, client: EmrClient, key: RunKey, context: Context, step: StepContext) -> str:
        """The id of a cluster that has done the work in the last moment.

        :raises FatalFault: CLUSTER_DEADLINE; the clusters have been ended.
        """
        from sluicegate.emr.attempt import AlreadyDone, decide

        record, clusters = self._find(client, key, step, context)
        decision = decide(clusters, finished_attempt=record.settled(self._generation(context)))
        if isinstance(decision, AlreadyDone):
            return decision.cluster.cluster_id
        ended = client.terminate_by_name(key, why="deadline")
        limits = [f"max_runtime {format_duration(self.max_runtime)} for each job"]
        if limit := self._limit():
            limits.append(f"timeout {format_duration(limit)} for the step")
        detail = f"not done in time ({', '.join(limits)}); ended: {', '.join(ended) or 'nothing ran'}"
        raise fault("CLUSTER_DEADLINE", detail, cluster_ids=ended)

    @contextmanager
    def _cleaned(self, context: Context) -> Iterator[None]:
        """Nothing runs on after an error, unless another try will come and go on with it."""
        try:
            yield
        except Exception as error:
            ti = context["ti"]
            again = another_try(ti.try_number, _max_tries(context))
            if not (isinstance(classify(error), TransientFault) and again):
                self._end_clusters("failed")
            raise

    def _end_clusters(self, why: str) -> None:
        """Never raises: it is called when something else is wrong already."""
        if self._key is None:
            return
        try:
            from sluicegate.emr.client import EmrClient

            client = self._client or EmrClient(self._connection(), attempts=2)
            if ended := client.terminate_by_name(self._key, why=why):
                self.log.info("Terminated: %s", ", ".join(ended))
        except Exception as unended:
            self.log.warning("A cluster may still run; it ends by itself: %s", classify(unended))

    def _connect(self, step: StepContext) -> tuple[EmrClient, RunKey]:
        from sluicegate.emr.client import EmrClient

        self._key = self._run_key(step)
        if self._client is None:
            self._client = EmrClient(self._connection())
        return self._client, self._key

    def _connection(self) -> Aws:
        from sluicegate.emr.connection import Aws

        if self._aws is None:
            self._aws = Aws(self.aws_conn_id)
        return self._aws

    def _run_key(self, step: StepContext) -> RunKey:
        from airflow.sdk.configuration import conf

        return RunKey(
            deployment=conf.get("sluicegate", "deployment", fallback=DEFAULT_DEPLOYMENT),
            dag_id=self.dag_id,
            run_id=step.run_id,
            task_id=self.task_id,
            map_index=step.map_index,
        )

    def _generation(self, context: Context) -> str:
        return generation(_max_tries(context), self.retries or 0)

    def _limit(self) -> timedelta | None:
        return self.timeout or self.execution_timeout


def _max_tries(context: Context) -> int:
    return int(getattr(context["ti"], "max_tries", 0) or 0)
