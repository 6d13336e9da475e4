"""What carrying out a plan asks of one Airflow: a small protocol, so that tests replace Airflow by a model of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sluicegate.recovery.definition import InstanceKey, RunKey

__all__ = ["Seen", "Site"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A task instance as Airflow shows it now."""

    key: InstanceKey
    id: str
    state: str | None
    tries: int
    note: str = ""


class Site(Protocol):
    """One Airflow. Every method raises `ApiError`; after `NotReachable`, or `Refused` with a status of 500 and more,
    an effect may have happened or not, and after `NotReachable` it may still happen.
    """

    def version(self) -> str:
        """Airflow's own, as `3.3.2`."""
        ...

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        """All task instances of these runs; those of a run that does not exist any more are missing."""
        ...

    def resting(self, dags: Collection[str]) -> Collection[str]:
        """Those of the DAGs in which nothing would run now: paused ones, and those that Airflow does not find."""
        ...

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        """Those of the runs that are queued or running."""
        ...

    def clear(
        self,
        run: RunKey,
        tasks: Collection[tuple[str, int]],
        note: str,
        *,
        even_running: bool = False,
        latest: bool = False,
    ) -> Collection[tuple[str, int]]:
        """Reset these instances (task and map index) of a run and put `note` on them, all in one transaction.

        `latest`: they run the latest version of their DAG's bundle. Returns those that were reset. Without
        `even_running`:

        :raises Refused: with status 409 and nothing done, when one of them is running
        """
        ...

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        """Set one instance to `success` or `skipped`, with a note. Airflow resets, without a note, what failed
        downstream of it in its run.

        :raises Refused: with status 409 and nothing done, when it is in that state already
        """
        ...

    def annotate(self, key: InstanceKey, note: str) -> None:
        """Put a note on one instance, and leave all else as it is."""
        ...

    def requeue(self, run: RunKey) -> None:
        """Let the scheduler look at an ended run once more; no instance is reset by it."""
        ...

    def force(self, key: InstanceKey, plan: str) -> None:
        """Make the next try of a step of ours do its work even where it is done already."""
        ...

    def drop_queued_event(self, dag: str, asset_id: int) -> None:
        """Delete what `dag` has queued of an asset; does nothing where there is none."""
        ...

    def create_marker(self, name: str, value: str) -> None:
        """Make a marker, of a name that no other process uses: of two callers Airflow would let both create one."""
        ...

    def marker(self, name: str) -> str | None:
        """The value of a marker, or None where there is none."""
        ...

    def markers(self) -> Mapping[str, str]:
        """By name, the values of all markers."""
        ...

    def write_marker(self, name: str, value: str) -> bool:
        """Replace the value of a marker; False, and nothing done, where there is none."""
        ...

    def delete_marker(self, name: str) -> None:
        """Remove a marker; does nothing where there is none."""
        ...
