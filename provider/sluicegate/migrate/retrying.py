"""The retries of dag-factory's tasks as `retries:`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sluicegate.migrate.item import Items
from sluicegate.migrate.note import Notes
from sluicegate.migrate.values import Lost, duration
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["RETRY_KEYS", "retries_of"]

RETRY_KEYS = ("retries", "retry_delay", "retry_delay_sec", "max_retry_delay", "retry_exponential_backoff")
_AIRFLOWS_DELAY = timedelta(minutes=5)
_AIRFLOWS_LONGEST = timedelta(hours=24)


def retries_of(conf: Items, notes: Notes, where: Where) -> Any:
    """A count, or count and pauses; without any, none at all, which is Airflow's default and not ours.

    :raises Lost: when one of the values is none
    """
    given = {key: conf[key] for key in RETRY_KEYS if key in conf and conf[key].value is not None}
    count = given["retries"].value if "retries" in given else 0
    if isinstance(count, str) and count.isdigit():
        count = int(count)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise Lost(given["retries"], f"`retries` is a number, not {count!r}")
    if count == 0:
        return 0
    pause = notes.first(conf, ("retry_delay", "retry_delay_sec"), where)
    delay = duration(pause) if pause is not None else _AIRFLOWS_DELAY
    longest = delay
    if "retry_exponential_backoff" in given and given["retry_exponential_backoff"].value:
        longest = duration(given["max_retry_delay"]) if "max_retry_delay" in given else _AIRFLOWS_LONGEST
    return {"count": count, "delay": format_duration(delay), "max_delay": format_duration(longest)}
