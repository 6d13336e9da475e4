"""Waits in the triggerer for one cluster to end: `Watch`, called in threads, between pauses of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from sluicegate.emr.client import EmrClient
    from sluicegate.emr.lookout import Lookout
    from sluicegate.emr.strays import Strays

__all__ = ["ClusterTrigger"]

_RENEWED = timedelta(minutes=30)
"""How long new waits use the connection that was read for the first: its keys may have been changed since."""

_TRUSTED = timedelta(minutes=1)
"""How long a connection is not read anew where AWS refuses its keys or does not answer."""


@dataclass
class _Shared:
    """What the waits of one event loop share that use the same connection: they look one after the other."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lookout: Lookout | None = None
    client: EmrClient | None = None
    made: datetime | None = None
    strays: dict[str, Strays] = field(default_factory=dict)
    """By deployment: what looks for those that no task needs."""


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, _Shared]] = WeakKeyDictionary()


class ClusterTrigger(BaseTrigger):
    """Fires once, with `{"outcome": "ended" | "deadline" | "error", "cluster_id": ..., ...}`.

    boto3 is called in threads. Throttling and outages are waited out until the deadline. All of it is in
    `serialize`, so that another triggerer can go on where this one died.

    :param key: the task instance, as the values of `RunKey`
    :param since: when the wait began, ISO; looks are rarer the longer it lasts
    :param deadline: when to give up, ISO
    :param steps: how many steps the cluster has; those of several are reported as they go
    :param settled: the last attempt that does not count any more
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None,
        cluster_id: str,
        key: Mapping[str, Any],
        since: str,
        deadline: str,
        steps: int = 1,
        settled: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.aws_conn_id = aws_conn_id
        self.cluster_id = cluster_id
        self.key = dict(key)
        self.since = since
        self.deadline = deadline
        self.steps = steps
        self.settled = settled

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("aws_conn_id", "cluster_id", "key", "since", "deadline", "steps", "settled")
        return "sluicegate.emr.trigger.ClusterTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from sluicegate.emr.names import RunKey
        from sluicegate.emr.watch import Subject, Watch

        subject = Subject(
            self.cluster_id,
            RunKey(**self.key),
            datetime.fromisoformat(self.since),
            datetime.fromisoformat(self.deadline),
            steps=self.steps,
            settled=self.settled,
        )
        watch, lookout, begins = Watch(subject, log=self.log), None, True  # type: ignore[arg-type]
        shared = _SHARED.setdefault(asyncio.get_running_loop(), {}).setdefault(self.aws_conn_id, _Shared())
        try:
            await asyncio.sleep(watch.until_first_look())
            while True:
                async with shared.lock:
                    try:
                        lookout = lookout or await self._joined(shared)
                    except Exception as unconnected:
                        seen = watch.failed(unconnected)
                    else:
                        seen = await asyncio.to_thread(watch.look, lookout)
                        await asyncio.to_thread(self._end_strays, shared, lookout, begins)
                        begins = begins and watch.failing
                    if watch.failing and lookout is not None and self._is_outdated(shared, lookout):
                        lookout.leave(self.cluster_id)
                        lookout, seen = None, 0.0 if isinstance(seen, dict) else seen
                if isinstance(seen, dict):
                    yield TriggerEvent(seen)  # type: ignore[no-untyped-call]
                    return
                await asyncio.sleep(seen)
        finally:
            if lookout is not None:
                lookout.leave(self.cluster_id)

    async def on_kill(self) -> None:
        """A person has marked or cleared the deferred task: this cluster is not needed any more.

        Only this one: the triggerer hears of a clear seconds later, and the next try may have a new one by then.
        Airflow calls this also when another triggerer has taken the wait over from one that was silent for too long:
        the task is still deferred then, and needs its cluster.
        """
        # One thread for all of it: Airflow may cancel this coroutine once more meanwhile, and a thread outlives that.
        await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        if self._is_deferred():
            self.log.info("The task still waits, in another triggerer or try: %s goes on", self.cluster_id)
            return
        ended = self._end()
        self.log.info("Terminated by the task's end: %s", self.cluster_id if ended else "no cluster was running")

    async def _joined(self, shared: _Shared) -> Lookout:
        from sluicegate.emr.lookout import Lookout

        if shared.lookout is None or _is_older(shared, _RENEWED):
            shared.client = await asyncio.to_thread(self._client)
            shared.lookout, shared.made, shared.strays = Lookout(shared.client), datetime.now(UTC), {}
        shared.lookout.join(self.cluster_id)
        return shared.lookout

    def _is_outdated(self, shared: _Shared, lookout: Lookout) -> bool:
        """Whether the keys that did not work may have been changed since they were read; then all read them anew."""
        if lookout is shared.lookout and _is_older(shared, _TRUSTED):
            shared.lookout = None
        return lookout is not shared.lookout

    def _end_strays(self, shared: _Shared, lookout: Lookout, begins: bool) -> None:
        """End what no wait of this triggerer and no task needs, of what a list has shown that was read anyway."""
        from sluicegate.emr.names import RunKey
        from sluicegate.emr.strays import Strays
        from sluicegate.emr.sweep import Sweep
        from sluicegate.emr.task_states import OwnAirflow

        key = RunKey(**self.key)
        assert shared.client is not None  # it has read the list
        if key.deployment not in shared.strays:
            sweep = Sweep(shared.client, OwnAirflow(in_triggerer=True), key.deployment)
            shared.strays[key.deployment] = Strays(sweep)
        shared.strays[key.deployment].end(lookout, key, begins=begins)

    def _is_deferred(self) -> bool:
        """Whether Airflow says so; where it does not answer, what it has called `on_kill` for is believed."""
        from sluicegate.emr.names import RunKey
        from sluicegate.emr.task_states import OwnAirflow

        key = RunKey(**self.key)
        try:
            state = OwnAirflow(in_triggerer=True).states([key]).get(key)
        except Exception as unanswered:
            self.log.warning("Airflow does not say how the task is: %r", unanswered)
            return False
        return state is not None and state.state == "deferred"

    def _end(self) -> bool:
        # More often than for a look: nothing comes after this one.
        client = self._client(attempts=4)
        if client.describe(self.cluster_id).terminal:
            return False
        client.terminate([self.cluster_id], why="killed")
        return True

    def _client(self, attempts: int = 2) -> EmrClient:
        """A client, made in a thread: botocore and the connection take their time."""
        from sluicegate.emr.client import EmrClient
        from sluicegate.emr.connection import Aws

        return EmrClient(Aws(self.aws_conn_id), attempts=attempts)


def _is_older(shared: _Shared, age: timedelta) -> bool:
    return shared.made is None or datetime.now(UTC) - shared.made > age
