"""Sends an alert by the channels that are meant: once, within seconds, and never with an exception."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluicegate.alerts.claims import Claims, claims_in
from sluicegate.alerts.message import Alert
from sluicegate.alerts.notifying import notify
from sluicegate.alerts.routing import channels_for
from sluicegate.faults import CATALOGUE, redact
from sluicegate.faults.shape import summary
from sluicegate.pipeline.keys.alerts import Channel, channels_of
from sluicegate.telemetry.metrics import count

__all__ = ["DEADLINE", "Delivery", "deliver", "send"]

TRIES = 3
PAUSES = (0.5, 1.0)
DEADLINE = 10.0
"""Seconds for all channels together: Airflow ends a task that is still there 20 s after its work."""
_FOR_REPORT = 4.0
"""Seconds to say by the others that a channel fails, where that one has used up the time."""
_UNDELIVERED = "ALERT_UNDELIVERED"
_REASON = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What came of one channel: `reason` says why it does not have the alert, None that it has."""

    channel: str
    reason: str | None = None

    @property
    def is_sent(self) -> bool:
        return self.reason is None


def send(
    alert: Alert,
    channels: Mapping[str, Channel | None],
    journal: str | None = None,
    *,
    context: Mapping[str, Any] | None = None,
    deadline: float = DEADLINE,
) -> tuple[Delivery, ...]:
    """Send `alert` by those of `channels` that it is for and that do not have it yet.

    :param journal: the Airflow connection of the Postgres in which is kept what was sent; without one it is known on
        this machine alone
    :param context: Airflow's, for templates in the channels' arguments
    """
    try:
        return _send(alert, channels_of(channels), journal, context or {}, time.monotonic() + deadline)
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        log.error("The alert %s could not be sent: %s", alert.dedupe_key, redact(trace))
        return ()


def _send(
    alert: Alert, channels: Mapping[str, Channel], journal: str | None, context: Mapping[str, Any], until: float
) -> tuple[Delivery, ...]:
    meant = channels_for(channels, alert.fault, alert.severity)
    if not meant:
        log.info("No channel gets an alert of %s (%s)", alert.code, alert.severity)
        return ()
    claims, ours = _claim(alert, meant, claims_in(journal))
    if others := [name for name in meant if name not in ours]:
        log.info("%s: sent already, or about to be: %s", alert.dedupe_key, ", ".join(others))
    found = deliver(alert, {name: channels[name] for name in ours}, context, until)
    for one in found:
        claims.settle(alert, one.channel, one.reason)
        _say(alert, one)
        outcome = "sent" if one.is_sent else "undelivered"
        count("alerts", {"pipeline": alert.pipeline, "channel": one.channel, "outcome": outcome})
    failed = {one.channel: one for one in found if not one.is_sent}
    rest = {name: channel for name, channel in channels.items() if name not in failed}
    if failed and rest and alert.code != _UNDELIVERED:
        until = max(until, time.monotonic() + _FOR_REPORT)
        _send(_undelivered(alert, list(failed.values())), rest, journal, context, until)
    return found


def _claim(alert: Alert, meant: Sequence[str], places: Sequence[Claims]) -> tuple[Claims, tuple[str, ...]]:
    """Where it is kept, and the channels that are ours; all where nothing could be kept: better twice than never."""
    for claims in places:
        if (taken := claims.take(alert, meant)) is not None:
            return claims, taken
    return places[-1], tuple(meant)


def deliver(
    alert: Alert, channels: Mapping[str, Channel], context: Mapping[str, Any], until: float
) -> tuple[Delivery, ...]:
    """Send by all `channels` at once; what has not ended at `until` (a monotonic time) counts as undelivered."""
    outcomes: dict[str, str | None] = {}

    def attempt(name: str, channel: Channel) -> None:
        outcomes[name] = _attempts(lambda: notify(channel, alert, context), until)

    # Daemons: one that hangs must not keep the task's process from ending.
    threads = {
        name: threading.Thread(target=attempt, args=(name, channel), name=f"alert {name}", daemon=True)
        for name, channel in channels.items()
    }
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    # A copy: a thread that hung may still end.
    done = dict(outcomes)
    return tuple(Delivery(name, done.get(name, "no answer in time")) for name in channels)


def _attempts(call: Callable[[], None], until: float) -> str | None:
    """None once `call` has succeeded; else why it has not, after a few tries."""
    reason: str | None = None
    for number in range(TRIES):
        try:
            call()
            return None
        except Exception as error:
            reason = redact(summary(error))[:_REASON]
        pause = PAUSES[number] if number < len(PAUSES) else 0.0
        if number == TRIES - 1 or time.monotonic() + pause > until:
            break
        time.sleep(pause)
    return reason


def _say(alert: Alert, one: Delivery) -> None:
    if one.is_sent:
        log.info("Alert %s sent: %s", alert.dedupe_key, one.channel)
        return
    fault = CATALOGUE[_UNDELIVERED]
    happened = f"{one.channel} does not have {alert.dedupe_key}: {one.reason}"
    log.error("%s: %s\n  what to do: %s", fault.code, happened, fault.remedy)


def _undelivered(alert: Alert, failed: Sequence[Delivery]) -> Alert:
    """What the other channels get: once for each fault of a run: they need not be for that one."""
    names = ", ".join(sorted(one.channel for one in failed))
    reasons = "; ".join(f"{one.channel}: {one.reason}" for one in failed)
    return replace(
        alert,
        fault=CATALOGUE[_UNDELIVERED],
        detail=f"{reasons}\nIt was to say: {alert.title}",
        subject=names,
        said=None,
        params={},
        written=(),
        tries=0,
        of=alert.code,
    )
