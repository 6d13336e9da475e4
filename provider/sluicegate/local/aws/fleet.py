"""The clusters that there are: runs their steps in threads, a few at a time, and keeps a record on disk.

Knows neither HTTP nor Spark: what a step does is the `StepRunner` it was given.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sluicegate.local.aws.clusters import (
    FINE,
    RESTARTED,
    Cluster,
    ClusterState,
    Fate,
    Reason,
    Step,
    StepState,
    from_json,
    to_json,
)
from sluicegate.local.aws.machines import machines_of
from sluicegate.local.aws.step_runner import Cancellation, StepRunner

T = TypeVar("T")
log = logging.getLogger(__name__)

KEPT = 1000
"""Ended clusters that are remembered; the oldest are forgotten when the server starts."""


class Fleet:
    """All clusters, live and ended. `slots` is how many steps run at the same time over all clusters."""

    def __init__(self, runner: StepRunner, state: Path, slots: int = 1) -> None:
        self._runner = runner
        self._state = state
        self._slots = slots
        self._changed = threading.Condition()
        self._clusters: dict[str, Cluster] = {}
        self._fates: dict[str, Fate] = {}
        self._running: dict[str, Cancellation] = {}  # by step id
        self._queue: deque[str] = deque()  # clusters with a step to run, first come first served
        self._threads: set[threading.Thread] = set()
        self._closing = False
        state.mkdir(parents=True, exist_ok=True)
        self._restore()

    def add(self, cluster: Cluster, fate: Fate = FINE) -> None:
        with self._changed:
            self._clusters[cluster.id] = cluster
            self._fates[cluster.id] = fate
            self._save(cluster)
            thread = threading.Thread(target=self._live, args=(cluster,), name=cluster.id, daemon=True)
            self._threads.add(thread)
        thread.start()

    def change(self, cluster: Cluster, change: Callable[[], T]) -> T:
        """Carries out a change: no reader sees half of it, and it is on disk before this returns."""
        with self._changed:
            result = change()
            self._save(cluster)
            self._changed.notify_all()
            return result

    def view(self, read: Callable[[list[Cluster]], T]) -> T:
        """What `read` makes of all clusters, oldest first, while none changes."""
        with self._changed:
            return read(list(self._clusters.values()))

    def get(self, cluster_id: str) -> Cluster | None:
        return self._clusters.get(cluster_id)

    def terminate(self, cluster: Cluster) -> None:
        """As a user's TerminateJobFlows; the running step is killed."""

        def change() -> None:
            cluster.terminate(Reason.USER_REQUEST, "Terminated by user request", _now())
            self._stop(cluster.steps)

        self.change(cluster, change)

    def cancel(self, cluster: Cluster, step: Step) -> bool:
        """Cancels a step that is pending or running; False if it is neither."""

        def change() -> bool:
            if step.state is StepState.PENDING:
                step.cancel("Cancelled by user", _now())
            elif step.state is StepState.RUNNING:
                step.cancel_requested = True
                self._stop([step])
            else:
                return False
            return True

        return self.change(cluster, change)

    def close(self, timeout: float = 10) -> None:
        """Kills what runs. The records say that it runs, as after a crash: the next start sees to it."""
        with self._changed:
            self._closing = True
            for cancellation in self._running.values():
                cancellation.request()
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout)

    # --- the life of one cluster

    def _live(self, cluster: Cluster) -> None:
        try:
            with self._changed:
                self._meet(cluster, self._fates[cluster.id])
                while not (cluster.is_ending or self._closing):
                    step = cluster.next_step()
                    if step is None:
                        self._prepare(cluster)
                        self._idle(cluster)
                    elif self._take_slot(cluster):
                        self._run(cluster)
                if not self._closing:
                    cluster.end(_now())
                    self._save(cluster)
        except Exception as error:
            log.exception("Cluster %s was lost", cluster.id)
            with self._changed:
                cluster.lose(f"The local EMR could not go on: {error}", _now())
                self._save(cluster)
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _meet(self, cluster: Cluster, fate: Fate) -> None:
        """What goes wrong while it starts."""
        self._changed.wait_for(lambda: self._closing or cluster.is_ending, fate.delay)
        if fate.end and not self._closing:
            reason, message, code = fate.end
            cluster.terminate(reason, message, _now(), code)
            self._save(cluster)

    def _prepare(self, cluster: Cluster) -> None:
        if cluster.state is ClusterState.STARTING:
            cluster.bootstrap()
            self._save(cluster)
            self._unlocked(lambda: self._runner.prepare(cluster))

    def _idle(self, cluster: Cluster) -> None:
        if cluster.is_ending or cluster.next_step():
            return
        cluster.idle(_now())
        self._save(cluster)

        terms = (cluster.idle_timeout, cluster.keep_alive)

        def has_news() -> bool:
            changed = terms != (cluster.idle_timeout, cluster.keep_alive)
            return self._closing or cluster.is_ending or cluster.next_step() is not None or changed

        if not self._changed.wait_for(has_news, cluster.idle_timeout):
            message = f"Terminated after {cluster.idle_timeout} s without a step"
            cluster.terminate(Reason.ALL_STEPS_COMPLETED, message, _now())

    def _take_slot(self, cluster: Cluster) -> bool:
        """Waits for a turn; False if by then there is nothing to run."""
        self._queue.append(cluster.id)
        try:
            self._changed.wait_for(
                lambda: (
                    self._closing
                    or cluster.next_step() is None
                    or (len(self._running) < self._slots and self._queue[0] == cluster.id)
                )
            )
        finally:
            self._queue.remove(cluster.id)
            self._changed.notify_all()
        return not self._closing and cluster.next_step() is not None

    def _run(self, cluster: Cluster) -> None:
        """Runs the next step; the lock is held on entry and exit, not while the step runs."""
        step = cluster.next_step()
        if step is None:
            return
        cancellation = self._running[step.id] = Cancellation()
        try:
            self._prepare(cluster)
            if self._closing or step.state is not StepState.PENDING:
                return
            cluster.begin(step, _now())
            self._save(cluster)
            fails = self._fates[cluster.id].fail_step and step is cluster.steps[0]
            with self._spot_market(cluster):
                failure = self._unlocked(lambda: self._runner.run(cluster, step, cancellation, fails))
            if not self._closing:
                cluster.finish(step, failure, _now())
                self._save(cluster)
        finally:
            del self._running[step.id]
            self._changed.notify_all()

    @contextmanager
    def _spot_market(self, cluster: Cluster) -> Iterator[None]:
        """In which it may lose its spot machines while a step runs."""
        after = self._fates[cluster.id].spot_after
        if after is None or cluster.lost_roles:
            yield
            return
        timer = threading.Timer(after, self._take_back, (cluster,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _take_back(self, cluster: Cluster) -> None:
        """Without its task nodes a cluster goes on, without its primary or core nodes it ends."""
        with self._changed:
            if self._closing or cluster.is_ending:
                return
            spot = [each.role for each in machines_of(cluster) if each.market == "SPOT"]
            cluster.lost_roles = spot
            if {"MASTER", "CORE"} & set(spot):
                message = "All slaves in the job flow were terminated due to Spot"
                cluster.terminate(Reason.INSTANCE_FAILURE, message, _now())
                self._stop(cluster.steps)
            self._save(cluster)

    def _unlocked(self, action: Callable[[], T]) -> T:
        self._changed.release()
        try:
            return action()
        finally:
            self._changed.acquire()

    def _stop(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.id in self._running:
                self._running[step.id].request()

    # --- the record on disk

    def _save(self, cluster: Cluster) -> None:
        path = self._state / f"{cluster.id}.json"
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(to_json(cluster)))
        fresh.replace(path)

    def _restore(self) -> None:
        found = []
        for path in self._state.glob("j-*.json"):
            try:
                found.append(from_json(json.loads(path.read_text())))
            except (ValueError, KeyError, TypeError) as error:
                log.warning("%s is not a cluster's record (%s): it is ignored", path, error)
        found.sort(key=lambda cluster: cluster.created)
        for cluster in found[:-KEPT]:
            (self._state / f"{cluster.id}.json").unlink()
        for cluster in found[-KEPT:]:
            self._clusters[cluster.id] = cluster
            if not cluster.has_ended:
                cluster.lose(RESTARTED, _now())
                self._save(cluster)


def _now() -> datetime:
    return datetime.now(UTC)
