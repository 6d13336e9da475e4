"""What is kept of a task's clusters in Airflow's task state store: what was asked for, and what was reported as done.

One row, written whole. It survives retries and clears of the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

__all__ = ["STORE_KEY", "Record", "Store", "another_try", "generation", "is_older"]

STORE_KEY = "cluster"


def generation(max_tries: int, retries: int) -> str:
    """What stays the same over the retries of a task and changes when a person clears it.

    Clearing sets `max_tries` to the tries so far plus `retries`; a retry leaves both alone.
    """
    return f"{max_tries}/{retries}"


def is_older(generation: str, than: str) -> bool:
    """Whether a person has cleared the task since: a clear raises the tries that it may have."""
    before, after = generation.partition("/")[0], than.partition("/")[0]
    return before.isdecimal() and after.isdecimal() and int(before) < int(after)


def another_try(try_number: int, max_tries: int) -> bool:
    """Whether Airflow will try again after a failure that may be retried: its own rule."""
    return max_tries != 0 and try_number <= max_tries


class Store(Protocol):
    """Airflow's task state store, as far as it is used here."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True)
class Record:
    """`since`: before the first cluster was asked for; none of this task that is older counts any more.

    `finished_attempt` is the last attempt that was found to have done the work, in `generation`. `forced` is the
    generation in which the attempts before were given up because of `force`. `deployment` is in the names of them all.

    The intent: `asked` is when the try `by` asked for the cluster of `attempt`, noted before the call; `cluster_id` is
    the answer, noted after it. An intent without an answer may still become a cluster.
    """

    since: datetime
    finished_attempt: int = 0
    generation: str = ""
    forced: str = ""
    deployment: str = ""
    attempt: int = 0
    asked: datetime | None = None
    by: str = ""
    cluster_id: str = ""

    @classmethod
    def read(cls, store: Store | None) -> Record | None:
        """The row of this task, or None when there is none (or no store at all)."""
        value = store.get(STORE_KEY) if store is not None else None
        if not isinstance(value, Mapping):
            return None
        asked = value["asked"]
        return cls(
            since=datetime.fromisoformat(value["since"]),
            finished_attempt=int(value["finished_attempt"]),
            generation=str(value["generation"]),
            forced=str(value["forced"]),
            deployment=str(value["deployment"]),
            attempt=int(value["attempt"]),
            asked=None if asked is None else datetime.fromisoformat(asked),
            by=str(value["by"]),
            cluster_id=str(value["cluster_id"]),
        )

    def write(self, store: Store | None) -> None:
        if store is not None:
            asked = None if self.asked is None else self.asked.isoformat()
            store.set(STORE_KEY, {**asdict(self), "since": self.since.isoformat(), "asked": asked})

    def intends(self, attempt: int, now: datetime, by: str) -> Record:
        """Before RunJobFlow is called for `attempt`."""
        return replace(self, attempt=attempt, asked=now, by=by, cluster_id="")

    @property
    def unanswered(self) -> datetime | None:
        """When the last cluster was asked for, unless the answer is known."""
        return None if self.cluster_id else self.asked

    def settled(self, now: str) -> int:
        """The last attempt that does not count any more, for a try of the generation `now`.

        An attempt that was finished in the same generation does count: had its success been reported,
        there would be no further try. In a later one a person has cleared it to have it done again.
        """
        return self.finished_attempt - 1 if self.generation == now else self.finished_attempt

    def finished(self, attempt: int, now: str) -> Record:
        return replace(self, finished_attempt=attempt, generation=now)

    def restarted(self, attempts: Iterable[int], now: str) -> Record:
        """With `force`: none of the `attempts` there have been counts any more, in `now` either."""
        return replace(self, finished_attempt=max([self.finished_attempt, *attempts]), generation="", forced=now)
