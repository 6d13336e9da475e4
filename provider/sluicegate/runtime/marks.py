"""The marks at tasks: what every step leaves of its run, and what a recovery asks of a step. Imports no Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sluicegate.graph.window import Window

__all__ = [
    "AT_MOST",
    "RECOVERY_KEY",
    "RUN_XCOM_KEY",
    "SKIPPED_XCOM_KEY",
    "WINDOW_TIMEZONE",
    "RunMark",
    "is_forced",
    "plan_of",
]

AT_MOST = "sluicegate_at_most"
"""A keyword of our own in the JSON Schema of a pipeline's param `force`: how often `sluicegate trigger` starts it."""

WINDOW_TIMEZONE = "sluicegate_timezone"
"""Another one there: the time zone of the pipeline's windows, where it is not UTC."""

RUN_XCOM_KEY = "sluicegate_run"
"""The XCom of every step that has `RunMark.value`."""

SKIPPED_XCOM_KEY = "sluicegate_skipped"
"""The XCom of a wait that has ended although some of its windows were skipped: where these begin."""

RECOVERY_KEY = "sluicegate_recovery"
"""Key in the task state store: `{"plan": id, "force": true}`, put there before a task is cleared, which no param can
say. It holds for all tries until one succeeds, and is then deleted.
"""


def is_forced(value: object) -> bool:
    """Whether the value of `RECOVERY_KEY` asks for `force`."""
    return isinstance(value, dict) and value.get("force") is True


def plan_of(value: object) -> str | None:
    """The plan that the value of `RECOVERY_KEY` names."""
    return str(value["plan"]) if isinstance(value, dict) and "plan" in value else None


@dataclass(frozen=True)
class RunMark:
    """The window of a step's run, and whether the run was a dry run.

    Pipelines that wait for a step look for its success at the logical date that is their window's start. What a dry
    run came to does not count, nor does a manual run at a tick, whose window *ends* there.
    """

    window: Window
    dry_run: bool = False

    @classmethod
    def of(cls, value: object) -> RunMark | None:
        """The mark in the value of an XCom; None where the XCom is missing."""
        if not isinstance(value, dict):
            return None
        start, end = (datetime.fromisoformat(moment) for moment in value["window"].split("/"))
        return cls(Window(start, end), value["dry_run"])

    @property
    def value(self) -> dict[str, str | bool]:
        """The mark as the value of an XCom."""
        return {"window": str(self.window), "dry_run": self.dry_run}

    def uncounted_at(self, date: datetime | None) -> str:
        """Why what the run came to does not count for the logical date `date` (None: any); empty if it does."""
        if self.dry_run:
            return "it was a dry run"
        return "" if date is None or self.window.start == date else f"the run's window is {self.window}"
