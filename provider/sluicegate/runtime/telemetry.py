"""What machines hear of a try: an event in the log when it ends, and metrics, both of the same facts as its receipt."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sluicegate.graph.window import Window
from sluicegate.runtime.lifecycle import Deferred, End, Failed, Interrupted, Life, Skipped, Succeeded
from sluicegate.telemetry.events import emit
from sluicegate.telemetry.metrics import count, gauge

__all__ = ["TelemetryObserver"]

_Level = Literal["info", "warning", "error"]
_LEVELS: Mapping[str, _Level] = {"failed": "error", "retrying": "warning", "interrupted": "warning"}


class TelemetryObserver:
    """See `Observer`. One for each life."""

    def __init__(self) -> None:
        self._began: float | None = None

    def began(self, life: Life) -> None:
        self._began = time.monotonic()

    def ended(self, life: Life, end: End) -> None:
        seconds = None if self._began is None else time.monotonic() - self._began
        facts: Mapping[str, Any] = end.result.facts if isinstance(end, Succeeded) else getattr(life.task, "facts", {})
        word = _word(end)
        _emit(life, end, word, seconds, facts)
        _count(life, end, word, seconds, facts)
        if isinstance(end, Succeeded) and not life.step.dry_run:
            _say_how_fresh(life)


def _word(end: End) -> str:
    match end:
        case Succeeded():
            return "succeeded"
        case Failed(_, will_retry):
            return "retrying" if will_retry else "failed"
        case Skipped():
            return "skipped"
        case Deferred():
            return "deferred"
        case Interrupted():
            return "interrupted"


def _emit(life: Life, end: End, word: str, seconds: float | None, facts: Mapping[str, Any]) -> None:
    step = life.step
    fault = end.error if isinstance(end, Failed) else None
    line = f"{step.step} {_SAID[word]}" + (f" after {seconds:.1f} s" if seconds is not None else "")
    emit(
        f"step.{word}",
        line if fault is None else f"{line}: {fault.code}",
        level=_LEVELS.get(word, "info"),
        pipeline=step.pipeline,
        step=step.step,
        map_index=step.map_index if step.mapped else None,
        run=step.run_id,
        attempt=step.try_number,
        window=[step.window.start.isoformat(), step.window.end.isoformat()],
        seconds=None if seconds is None else round(seconds, 3),
        phases=facts.get("seconds") or None,
        counts=facts.get("counts"),
        dead_letters=facts.get("dead_letters") or None,
        clusters=[str(one.get("cluster_id")) for one in _clusters(facts)] or None,
        dry_run=step.dry_run or None,
        fault=None if fault is None else {"code": fault.code, "class": str(fault.fault.kind)},
        reason=end.reason if isinstance(end, Skipped) else None,
    )


_SAID: Mapping[str, str] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "retrying": "failed, and is tried again",
    "skipped": "was skipped",
    "deferred": "goes on in the triggerer",
    "interrupted": "was ended from outside",
}


def _count(life: Life, end: End, word: str, seconds: float | None, facts: Mapping[str, Any]) -> None:
    step = {"pipeline": life.step.pipeline, "step": life.step.step}
    if seconds is not None:
        count("milliseconds", {**step, "phase": "all"}, round(seconds * 1000))
    if isinstance(end, Deferred):  # the try goes on: what it comes to is counted once
        return
    count("tries", {**step, "end": word})
    if isinstance(end, Failed):
        count("faults", {**step, "fault": end.error.code, "class": str(end.error.fault.kind)})
        if end.will_retry:
            count("retries", {**step, "fault": end.error.code})
    for phase, took in _numbers(facts.get("seconds")):
        count("milliseconds", {**step, "phase": phase}, round(took * 1000))
    for one in _clusters(facts):
        count("clusters", step)
        count("cluster_seconds", step, round(one.get("seconds") or 0))
    if not life.step.dry_run and facts.get("status") != "skipped":  # then they are those of the load that did it
        _count_rows(step, facts)


def _count_rows(step: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    beside = {name: facts.get(name) for name in ("resolved", "removed")}
    for outcome, rows in (*_numbers(facts.get("counts")), *_numbers(beside)):
        count("rows", {**step, "outcome": outcome}, round(rows))
    for rule, rows in _numbers(facts.get("dead_letters")):
        count("dead_letters", {**step, "rule": rule}, round(rows))


def _numbers(found: object) -> Iterable[tuple[str, float]]:
    items = found.items() if isinstance(found, Mapping) else ()
    return [(str(name), value) for name, value in items if isinstance(value, int | float)]


def _clusters(facts: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [one for one in facts.get("clusters") or () if isinstance(one, Mapping)]


def _say_how_fresh(life: Life) -> None:
    window = life.step.window
    if not _is_recent(window, datetime.now(UTC)):
        return
    step = {"pipeline": life.step.pipeline, "step": life.step.step}
    gauge("window_end", step, window.end.timestamp())
    within: timedelta | None = getattr(getattr(life.task.get_dag(), "pipeline", None), "fresh_within", None)
    if within is not None:
        gauge("fresh_until", step, (window.end + within).timestamp())


def _is_recent(window: Window, now: datetime) -> bool:
    """Whether it is the newest window that is over, or the one before: a run of an older one, as a recovery or a
    backfill starts, must not say that the data are older than they are.
    """
    return window.end > window.start and now < window.end + 2 * (window.end - window.start)
