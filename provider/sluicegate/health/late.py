"""What happens when a run's deadline passes: whether its pipeline really is late now, and who is alerted.

Called by Airflow in the triggerer. The module is imported when DAGs are parsed, so that what it needs is imported late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.graph.window import Window

__all__ = ["LATE", "Deadline", "late", "successors", "verdict"]

LATE = f"{__name__}.late"

_MOST = 500
"""Windows after the one that is late of which is asked whether one has succeeded."""
_AT_ONCE = 100
_THREADS = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deadline:
    """A run whose deadline has passed."""

    pipeline: str
    run_id: str
    run_type: str
    window: Window
    fresh_within: timedelta
    end: datetime | None
    is_dry: bool


async def late(context: Mapping[str, Any] | None = None, **said: Any) -> str:
    """The callback of the deadline alert: alerts the channels of a pipeline that is late. Returns what came of it.

    :param context: Airflow's: the run, and its deadline
    :param said: what the factory wrote about the pipeline
    """
    try:
        if (pause := _pause(dict(context or {}), said, datetime.now(UTC))) > 0:
            log.info("The run of %s was made after its deadline: looked at again in %d s", said.get("pipeline"), pause)
            await asyncio.sleep(pause)
        return await asyncio.get_running_loop().run_in_executor(_threads(), _late, dict(context or {}), said)
    except Exception:
        log.exception("No channel was alerted that %s is late", said.get("pipeline"))
        return "failed"


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Threads of its own: a channel that hangs must not hold up what waits in the same triggerer."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="late")


def _pause(context: Mapping[str, Any], said: Mapping[str, Any], now: datetime) -> float:
    """Seconds that a run has which was made after its deadline."""
    from sluicegate.health.freshness import time_until

    run = context["dag_run"]
    made = _moment(str(run["queued_at"])) if run.get("queued_at") else None
    deadline = _deadline(run, said)
    until = time_until(deadline.window, deadline.fresh_within, made)
    return 0.0 if until is None or verdict(deadline, now) else (until - now).total_seconds()


def _late(context: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    deadline = _deadline(context["dag_run"], said)
    now = datetime.now(UTC)
    silent = verdict(deadline, now) or _is_over(deadline, said, now)
    if silent:
        log.info("%s is not reported as late for %s: %s", deadline.pipeline, deadline.window, silent)
        return silent
    log.warning("%s is late: its run for %s has not succeeded", deadline.pipeline, deadline.window)
    _alert(deadline, said)
    return "late"


def _alert(deadline: Deadline, said: Mapping[str, Any]) -> None:
    from sluicegate.alerts.send import send
    from sluicegate.health.alerts import late_alert
    from sluicegate.pipeline.keys.alerts import Channel

    window = deadline.window.in_zone(said.get("timezone", "UTC"))
    alert = late_alert(
        deadline.pipeline, window, deadline.fresh_within, run_id=deadline.run_id, owner=said.get("owner", ""),
        page=said.get("page", ""),
    )  # fmt: skip
    channels = {name: Channel.model_validate(each) for name, each in said.get("alerts", {}).items()}
    send(alert, channels, said.get("journal"))


def verdict(deadline: Deadline, now: datetime) -> str | None:
    """Why the deadline of such a run gives no alert; None where it gives one, as far as the run itself shows."""
    from sluicegate.health.freshness import is_historic

    if deadline.run_type == "manual":
        return "a run that a person started"
    if deadline.is_dry:
        return "a dry run"
    if is_historic(deadline.window, deadline.fresh_within, now, deadline.end):
        return "a later window is late as well, or has been run since"
    return None


def _deadline(run: Mapping[str, Any], said: Mapping[str, Any]) -> Deadline:
    from sluicegate.graph.window import Window

    start = _moment(str(run.get("data_interval_start") or run["logical_date"]))
    end = _moment(str(run.get("data_interval_end") or start.isoformat()))
    return Deadline(
        said["pipeline"],
        str(run.get("dag_run_id") or run.get("run_id")),
        str(run.get("run_type")),
        Window(start, end),
        timedelta(seconds=said["fresh_within"]),
        _moment(said["end"]) if said.get("end") else None,
        bool((run.get("conf") or {}).get("dry_run")),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _is_over(deadline: Deadline, said: Mapping[str, Any], now: datetime) -> str | None:
    """Whether the data has come meanwhile, by this run or by that of a later window."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    name = deadline.pipeline
    if RuntimeTaskInstance.get_dagrun_state(name, deadline.run_id) == "success":
        return "its run has succeeded meanwhile"
    dates = successors(deadline.window, said.get("cron"), said.get("timezone", "UTC"), now)
    for some in _chunks(dates):
        if RuntimeTaskInstance.get_dr_count(name, logical_dates=list(some), states=["success"]):
            return "the run of a later window has succeeded"
    return None


def successors(window: Window, cron: str | None, timezone: str, now: datetime) -> tuple[datetime, ...]:
    """Where the windows begin that came after `window` and are over, the newest first."""
    from sluicegate.graph.window import windows
    from sluicegate.pipeline.keys.model import Schedule

    if cron is None:
        return ()
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=window.start)
    found: list[datetime] = []
    for following in windows(schedule, window.end):
        if following.end > now or len(found) == _MOST:
            break
        found.append(following.start)
    return tuple(reversed(found))


def _chunks(dates: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    return (dates[at : at + _AT_ONCE] for at in range(0, len(dates), _AT_ONCE))
