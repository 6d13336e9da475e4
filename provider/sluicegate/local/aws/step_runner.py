"""How a fleet has a step carried out, and stops it again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from sluicegate.local.aws.clusters import Cluster, Failure, Step


class Cancellation:
    """Signals a running step to stop, from another thread; also before it listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self.requested = False

    def request(self) -> None:
        with self._lock:
            self.requested = True
            if self._stop:
                self._stop()

    def on_request(self, stop: Callable[[], None] | None) -> None:
        """`stop` must not block; it is called at once if the request is already there."""
        with self._lock:
            self._stop = stop
            if stop and self.requested:
                stop()


class StepRunner(Protocol):
    """What carries out steps."""

    def prepare(self, cluster: Cluster) -> None:
        """Prepare once, while the cluster is bootstrapping."""

    def run(self, cluster: Cluster, step: Step, cancellation: Cancellation, fails: bool = False) -> Failure | None:
        """Runs the step to its end; None is success. Returns soon after a cancellation.

        :param fails: let it fail, in the place of what it would do
        """
