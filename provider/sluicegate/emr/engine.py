"""One cluster for one task, whatever dies and whenever: finds it or starts it, says how to go on, ends it.

Plain Python, given EMR, a store and a clock: no Airflow, no boto3, so that it can be simulated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.emr.attempt import LIVE_STATES, AlreadyDone, Found, Reconnect, Start, decide
from sluicegate.emr.launch import DOUBT, LOOK_AGAIN, Launch
from sluicegate.emr.names import RunKey
from sluicegate.emr.notes import Notes
from sluicegate.emr.record import Record, Store, is_older
from sluicegate.emr.request import not_after
from sluicegate.emr.tags import DEADLINE, ENDED_BY, GENERATION, NOT_AFTER, ORPHANED, PLACEMENT, RUN
from sluicegate.emr.task import Client, Ended, Try, Wait, Work
from sluicegate.emr.verdict import ClusterStatus, StepStatus, complete, own, verdict
from sluicegate.faults import FatalFault, TransientFault, classify, fault
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["DUPLICATE", "Engine"]

log = logging.getLogger(__name__)

DUPLICATE = "duplicate"
"""Why a cluster is ended whose work another one does."""

_FRESH = timedelta(seconds=15)
"""How long ago a list may have been read when a cluster is asked for."""

_STALE = 2
"""How many lists may be older than that before the next one is taken all the same, with another look afterwards."""

CLAIM = 2.0
"""Seconds at least between a retry's claim and the look whether it still holds: longer than a store takes to write, and
in most cases longer than AWS takes to answer a first try that was given up and still lives."""

_ELSEWHERE = ("CLUSTER_CAPACITY", "CLUSTER_SPOT_LOST")
"""Why a cluster is lost that may do better at another placement."""

_END_WAIT = timedelta(seconds=20)
"""How long a process that is being killed has to end its clusters."""


class Engine:
    """Made anew in each process that has to do with the task: what it needs to know is in the store and in EMR.

    :param store: None where there is none; a retry then looks at clusters alone
    """

    def __init__(
        self,
        client: Client,
        store: Store | None,
        key: RunKey,
        this: Try,
        work: Work,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._key = client, key
        self._try, self._work = this, work
        self._clock, self._sleep = clock, sleep
        self._notes = Notes(store, this.generation, this.since, DOUBT, key.deployment, clock)
        self._looked = self._claimed_at = clock()
        self._staled = 0
        self._is_alone = True
        self._stopped = False

    def begin(self) -> Wait | Ended | None:
        """The cluster to go on with: one that is there, one that has done the work, or a new one.

        None when `stop` was called before there was one, or while it was started.
        """
        with self._guarded():
            return self._unless_stopped(self._begin(0))

    def after(self, event: Mapping[str, Any]) -> Wait | Ended | None:
        """How to go on after the trigger's event: `ended`, `deadline`, `error` or `failed`.

        :raises FaultError: when there is no way to; nothing runs on then that no further try goes on with
        """
        with self._guarded():
            self._notes.read()
            outcome = event["outcome"]
            if outcome == "error":
                raise fault(event["code"], event["detail"], cluster_id=event["cluster_id"])
            if outcome == "failed":
                raise fault("UNKNOWN", f"the trigger failed: {event['detail']}")
            if outcome == "deadline":
                return self._late()
            seen = event.get("cluster")
            cluster = ClusterStatus.from_json(seen) if seen else self._client.describe(event["cluster_id"])
            return self._unless_stopped(self._ended(cluster))

    @contextmanager
    def reporting(self, ended: Ended) -> Iterator[None]:
        """Around the report of `ended`: what is reported without an error is noted as done."""
        with self._guarded():
            yield
            attempt = self._key.attempt(ended.cluster.name) or 0
            self._notes.finished(attempt, made_in=ended.cluster.tags.get(GENERATION, ""))

    def stop(self) -> None:
        """The task is over, from another thread or a signal handler: start nothing any more."""
        self._stopped = True

    def end(self, why: str, *, patience: timedelta = _END_WAIT) -> None:
        """End the task's clusters, whether or not their ids are known yet. Never raises: it is called when
        something else is wrong already.

        :param patience: how long to look for one that was asked for and is not in the list
        """
        try:
            ended: list[str] = []
            until = self._clock() + patience
            while not ended:
                ended = self._end(why)
                if not self._notes.in_doubt([]) or self._clock() >= until:
                    break
                self._sleep(LOOK_AGAIN / 5)
            if ended:
                log.info("Terminated: %s", ", ".join(ended))
        except Exception as unended:
            log.warning("A cluster may still run; it ends by itself: %s", classify(unended))

    # --- on the way to a cluster

    def _unless_stopped(self, way: Wait | Ended | None) -> Wait | Ended | None:
        if not self._stopped:
            return way
        # The signal's own look may have come before there was anything to see.
        self.end("killed")
        return None

    def _begin(self, placement: int) -> Wait | Ended | None:
        requests: dict[int, Mapping[str, Any]] = {}
        found = self._cleared(self._forced(self._look()))
        while not self._stopped:
            decision = decide(found, finished_attempt=self._notes.settled)
            self._client.terminate([f.cluster_id for f in decision.surplus], why=DUPLICATE)
            if isinstance(decision, Reconnect):
                log.info("Going on with cluster %s", _shown(decision.cluster))
                return self._wait_for(decision.cluster)
            if isinstance(decision, AlreadyDone):
                log.info("Cluster %s has done the work, which was not reported yet", _shown(decision.cluster))
                return self._reported(decision.cluster.cluster_id)
            if self._notes.claim(decision.attempt):
                self._claimed_at = self._clock()
                if decision.attempt not in requests:
                    requests[decision.attempt] = self._work.request(decision.attempt, placement)
                if not self._try.first:
                    self._sleep(max(CLAIM - (self._clock() - self._claimed_at).total_seconds(), 0.0))
                cluster_id = self._start(decision.attempt, requests[decision.attempt])
                if cluster_id is not None:
                    return self._started(cluster_id, decision.attempt, requests[decision.attempt])
            found = self._look()
        return None

    def _start(self, attempt: int, request: Mapping[str, Any]) -> str | None:
        launch = Launch(
            run=self._client.run,
            claimed=lambda: self._claimed(attempt),
            look=self._find,
            stopped=lambda: self._stopped,
            clock=self._clock,
            sleep=self._sleep,
            doubt=DOUBT,
        )
        try:
            cluster_id = launch.start(attempt, request)
        except FatalFault:
            self._notes.refused()
            raise
        if cluster_id is not None:
            self._is_alone = self._notes.started(attempt, cluster_id)
        return cluster_id

    def _claimed(self, attempt: int) -> bool:
        if not self._notes.ask(attempt):
            return False
        # In a busy account, or while AWS throttles, a list takes minutes to read: then it is never fresh.
        if self._clock() - self._looked <= _FRESH or self._staled >= _STALE:
            return True
        self._notes.asks -= 1  # the process was frozen, and does not call
        self._staled += 1
        return False

    def _started(self, cluster_id: str, attempt: int, request: Mapping[str, Any]) -> Wait | None:
        """The wait for the cluster that was just started, unless another try of the same task was quicker."""
        name = self._key.name(attempt)
        log.info("Started cluster %s (%s), attempt %d", name, cluster_id, attempt)
        if self._notes.asks > 1:
            self._sleep_out_lag()
        # The claim keeps other tries away. Where it perhaps has not, another look at the list is worth a call.
        was_quick = self._clock() - self._claimed_at <= _FRESH and self._notes.asks == 1 and not self._staled
        if not (was_quick and self._is_alone and self._notes.store is not None) and set(
            self._client.live(self._key)
        ) - {cluster_id}:
            decision = decide(self._find(), finished_attempt=self._notes.settled)
            if decision.surplus:
                log.warning("Two clusters for one task: ending %s", ", ".join(map(_shown, decision.surplus)))
            self._client.terminate([f.cluster_id for f in decision.surplus], why=DUPLICATE)
            if isinstance(decision, Reconnect):
                return self._wait_for(decision.cluster)
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        return self._wait(cluster_id, name, datetime.fromisoformat(tags[NOT_AFTER]))

    def _sleep_out_lag(self) -> None:
        """AWS may have done the work of a call that it has refused for now. The cluster starts meanwhile."""
        log.info("RunJobFlow was called more than once: a twin would be in the list within a minute")
        until = self._clock() + DOUBT / 2
        while not self._stopped and (left := (until - self._clock()).total_seconds()) > 0:
            self._sleep(min(left, LOOK_AGAIN))

    def _look(self) -> list[Found]:
        """The clusters of this task. While one may still come that an earlier try has asked for, look again."""
        found, told = self._find(), False
        while self._notes.in_doubt(found) and not self._stopped:
            if not told:
                log.info("A cluster was asked for a moment ago and is not in the list yet: looking again")
                told = True
            self._sleep(LOOK_AGAIN)
            found = self._find()
        return found

    def _find(self) -> list[Found]:
        self._looked = self._clock()
        return self._listed()

    def _listed(self) -> list[Found]:
        record = self._notes.read()
        if record is not None:
            # What was reported and then cleared, perhaps a month ago, is not looked for among all that has ended since.
            since = None if self._notes.all_settled else record.since
            return self._client.find(self._key, since=since, known=record.cluster_id)
        record = Record(since=self._try.since or self._clock(), deployment=self._key.deployment)
        if self._try.first and self._notes.store is not None and not self._try.force:
            # Nothing was asked for: that is noted before the call. What an earlier run of this name has left, the wait
            # finds in its first list, long before a step begins.
            return [] if self._notes.begin(record) else self._find()
        found = self._client.find(self._key, since=None if self._try.first else record.since, older=True)
        # What ended in an earlier life of the task was reported then: the store has been emptied since.
        ended = [f.attempt for f in found if not f.promising and f.generation != self._try.generation]
        record = replace(record, finished_attempt=max(ended, default=0))
        if not self._try.first and not any(f.promising for f in found):
            # The first try died before it could note anything, or the store was lost, perhaps a moment ago.
            attempt = max((f.attempt for f in found), default=0) + 1
            record = record.intends(attempt, self._clock() - DOUBT / 2, "")
        return found if self._notes.begin(record) else self._find()

    def _forced(self, found: list[Found]) -> list[Found]:
        """With `force`, once in a generation: none of those that are there, which are ended."""
        if not self._try.force or self._notes.last.forced == self._try.generation:
            return found
        # Ended first: a try that dies in between has started nothing yet, and the next one ends them again.
        self._client.terminate([f.cluster_id for f in found if f.runs], why="forced")
        self._notes.restarted([f.attempt for f in found])
        return []

    def _cleared(self, found: list[Found]) -> list[Found]:
        """Without those whose job still ran when a person cleared the task, to have it done again: they are ended.

        The triggerer may have been down when it was cleared, or have come too late.
        """
        older = [f for f in found if f.runs and not f.complete and is_older(f.generation, self._try.generation)]
        if older:
            log.info("The task was cleared: ending %s", ", ".join(map(_shown, older)))
        self._client.terminate([f.cluster_id for f in older], why="cleared")
        return [replace(f, state="TERMINATING", ended_by_us=True) if f in older else f for f in found]

    # --- on the way to an end

    def _ended(self, cluster: ClusterStatus) -> Wait | Ended | None:
        steps = own(cluster, self._client.steps(cluster.cluster_id))
        ended_by = cluster.tags.get(ENDED_BY)
        if cluster.terminal and (complete(steps) or not ended_by):
            placement = self._next_placement(cluster, steps)
            return Ended(cluster, steps) if placement is None else self._begin(placement)
        if ended_by == DEADLINE:
            return self._late()
        if ended_by == ORPHANED:
            # By an Airflow in which the task does not wait; a further cluster would come to the same end.
            detail = (
                f"{cluster.name} was ended as one that no task needs, though this one waits for it: does another "
                f"Airflow have the same `[sluicegate] deployment`, {self._key.deployment}? Each needs its own"
            )
            raise fault("CLUSTER_TERMINATED_OUTSIDE", detail, cluster_id=cluster.cluster_id)
        if ended_by:
            # A duplicate that lost, or an earlier try that was killed after this one had found its cluster.
            log.info("%s was ended by Sluicegate itself (%s)", cluster.name, ended_by)
        return self._begin(0)

    def _next_placement(self, cluster: ClusterStatus, steps: Sequence[StepStatus]) -> int | None:
        """Where to go on, if `cluster` was lost for want of machines and there is a further place to try."""
        lost = verdict(cluster, steps, max_runtime=self._work.max_runtime)
        placement, places = int(cluster.tags.get(PLACEMENT, "0")) + 1, self._work.placements
        if lost is None or lost.code not in _ELSEWHERE or placement >= places:
            return None
        log.warning("%s was lost, going on at placement %d of %d: %s", cluster.name, placement + 1, places, lost.detail)
        return placement

    def _late(self) -> Ended:
        """The cluster that has done the work in the last moment.

        :raises FatalFault: CLUSTER_DEADLINE; the clusters have been ended.
        """
        if (done := self._done()) is not None:
            return done
        ended = self._end(DEADLINE)
        # It may have got ready while it was asked to end; or all of it was done but what a person had added by hand.
        if (done := self._done()) is not None:
            return done
        limits = [f"max_runtime {format_duration(self._work.max_runtime)} for each job"]
        if self._work.timeout:
            limits.append(f"timeout {format_duration(self._work.timeout)} for the step")
        detail = f"not done in time ({', '.join(limits)}); ended: {', '.join(ended) or 'nothing ran'}"
        raise fault("CLUSTER_DEADLINE", detail, cluster_ids=ended)

    def _done(self) -> Ended | None:
        decision = decide(self._find(), finished_attempt=self._notes.settled)
        cluster = None if isinstance(decision, Start) else decision.cluster
        return self._reported(cluster.cluster_id) if cluster is not None and cluster.complete else None

    def _reported(self, cluster_id: str) -> Ended:
        return Ended(*self._seen(cluster_id))

    def _seen(self, cluster_id: str) -> tuple[ClusterStatus, Sequence[StepStatus]]:
        cluster = self._client.describe(cluster_id)
        return cluster, own(cluster, self._client.steps(cluster_id))

    def _end(self, why: str) -> list[str]:
        """End what the list shows, and what is known by its id: the list may be behind."""
        named = dict.fromkeys([*self._client.live(self._key), *filter(None, [self._notes.known])])
        ended = [cluster_id for cluster_id in named if self._runs(cluster_id)]
        self._client.terminate(ended, why=why)
        return ended

    def _runs(self, cluster_id: str) -> bool:
        """Whether it runs and is of this task: a person may have made a copy, which has its name, and taken the tags
        off.
        """
        try:
            cluster = self._client.describe(cluster_id)
        except FatalFault:
            return False  # AWS does not know it
        return cluster.state in LIVE_STATES and cluster.tags.get(RUN) == self._key.digest

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Nothing runs on after an error, unless another try will come and go on with it."""
        try:
            yield
        except Exception as error:
            if not (isinstance(classify(error), TransientFault) and self._try.again):
                self.end("failed", patience=DOUBT)
            raise

    # --- what is known

    def _wait_for(self, found: Found) -> Wait:
        end = found.not_after or not_after(self._clock(), self._work.max_runtime, self._work.jobs)
        return self._wait(found.cluster_id, found.name, end)

    def _wait(self, cluster_id: str, name: str, deadline: datetime) -> Wait:
        return Wait(self._key, cluster_id, name, deadline, self._notes.settled)


def _shown(found: Found) -> str:
    return f"{found.name} ({found.cluster_id}, {found.state})"
