"""What carrying out a plan asks of one Airflow: a small protocol, so that tests replace Airflow by a model of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    an effect may have happened or not.
    """

    def version(self) -> str:
        """Airflow's own, as `3.3.2`."""
        ...

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        """All task instances of these runs."""
        ...

    def run_states(self, runs: Collection[RunKey]) -> Mapping[RunKey, str]:
        """The state of each run; one that does not exist any more is missing."""
        ...

    def clear(self, run: RunKey, tasks: Sequence[tuple[str, int]], note: str) -> None:
        """Reset these instances (task and map index) of a run and put `note` on them, all in one transaction.

        :raises Refused: with status 409 and nothing done, when one of them is running
        """
        ...

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        """Set one instance to `success` or `skipped`, with a note."""
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

    def create_marker(self, plan: str, value: str) -> bool:
        """Whether the marker of `plan` was made; False when there is one already. At most one caller gets True."""
        ...

    def markers(self) -> Mapping[str, str]:
        """By plan, the values of all markers."""
        ...

    def write_marker(self, plan: str, value: str) -> None:
        """Replace the value of a marker that exists."""
        ...

    def delete_marker(self, plan: str) -> None:
        """Remove a marker; does nothing where there is none."""
        ...
