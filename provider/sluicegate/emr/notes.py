"""The task's record, as one try of the task reads and writes it; tries that run at once see each other in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sluicegate.emr.attempt import Found
from sluicegate.emr.record import Record, Store, is_older

__all__ = ["Notes"]


@dataclass
class Notes:
    """:param store: None where there is none; a try then sees clusters alone, and not what others intend
    :param since: no cluster of this generation is older, as far as it is known
    :param deployment: what the names of the clusters begin with
    :param doubt: how long a cluster that was asked for may be missing in the list
    :param by: a name for this try that no other one has
    """

    store: Store | None
    generation: str
    since: datetime | None
    doubt: timedelta
    deployment: str
    clock: Callable[[], datetime]
    by: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    asks: int = 0
    """How often this try has called RunJobFlow for the intent that is noted."""
    _last: Record | None = None

    def read(self) -> Record | None:
        """The record as it is now; without a store, as this try has last left it."""
        self._last = Record.read(self.store) or self._last
        return self._last

    @property
    def last(self) -> Record:
        """The record as this try has last read or written it."""
        return self._last or Record(since=self.since or self.clock(), deployment=self.deployment)

    @property
    def known(self) -> str:
        """The id of the cluster that was started last, if it is known."""
        return self._last.cluster_id if self._last else ""

    @property
    def settled(self) -> int:
        """The last attempt that does not count any more."""
        return self.last.settled(self.generation)

    @property
    def all_settled(self) -> bool:
        """Whether all that was ever asked for was reported and does not count any more."""
        return 0 < self.last.attempt <= self.settled

    def claim(self, attempt: int) -> bool:
        """Note that this try will ask for the cluster of `attempt`, unless another one was quicker."""
        now = self.read() or self.last
        if now.by != self.by and now.attempt >= attempt and (now.cluster_id or self._is_recent(now)):
            return False
        since = self.clock() if self.all_settled else now.since
        self._write(replace(now, since=since).intends(attempt, self.clock(), self.by))
        self.asks = 0
        return True

    def ask(self, attempt: int) -> bool:
        """Right before RunJobFlow: whether the claim still holds. Another try may have read the record before it."""
        now = self.read() or self.last
        if now.by != self.by or now.attempt != attempt:
            return False
        self._write(now.intends(attempt, self.clock(), self.by))
        self.asks += 1
        return True

    def started(self, attempt: int, cluster_id: str) -> bool:
        """RunJobFlow has answered; whether the claim has held until now."""
        now = self.read() or self.last
        self._write(replace(now, attempt=attempt, by=self.by, cluster_id=cluster_id))
        return now.by == self.by

    def refused(self) -> None:
        """RunJobFlow was refused: nothing comes of the intent any more, unless an earlier call did its work."""
        if self.asks <= 1:
            self._change(lambda now: replace(now, asked=None, cluster_id=""))

    def finished(self, attempt: int, *, made_in: str) -> None:
        """The work is done, by a cluster of the generation `made_in`: a newer one if this try was given up long ago."""
        generation = made_in if is_older(self.generation, made_in) else self.generation
        self._change(lambda now: now.finished(attempt, generation))

    def restarted(self, attempts: Sequence[int]) -> None:
        self._change(lambda now: now.restarted(attempts, self.generation))

    def begin(self, record: Record) -> bool:
        """The first note of this task, unless another try has written it meanwhile."""
        if self.read() is not None:
            return False
        self._write(record)
        return True

    def in_doubt(self, found: Sequence[Found]) -> bool:
        """Whether a cluster may still come that no list has shown: it was asked for a moment ago."""
        if self._last is None or not self._is_recent(self._last) or (self._last.by == self.by and not self.asks):
            return False
        return all(cluster.attempt < self._last.attempt for cluster in found)

    def _is_recent(self, record: Record) -> bool:
        return record.unanswered is not None and self.clock() - record.unanswered <= self.doubt

    def _change(self, change: Callable[[Record], Record]) -> None:
        self._write(change(self.read() or self.last))

    def _write(self, record: Record) -> None:
        self._last = record
        record.write(self.store)
