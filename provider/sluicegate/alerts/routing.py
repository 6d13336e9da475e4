"""Which channels get which alert: a function from values to values."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.faults import Fault, FaultClass
from sluicegate.pipeline.keys.alerts import Channel, Severity, channels_of

__all__ = ["LATE", "channels_for", "severity_of"]

LATE = frozenset({"PIPELINE_LATE", "PIPELINE_STALLED"})
"""The faults that a channel's `late` is about."""
_UNDELIVERED = "ALERT_UNDELIVERED"


def severity_of(fault: Fault) -> Severity:
    """How bad `fault` is: as a pipeline's `faults:` says, else its class."""
    if fault.severity is not None:
        return Severity(fault.severity)
    if fault.code in LATE:
        return Severity.WARNING
    return Severity.CRITICAL if fault.kind is FaultClass.FATAL else Severity.ERROR


def channels_for(alerts: Mapping[str, Channel | None], fault: Fault, severity: Severity) -> tuple[str, ...]:
    """The names of the channels of `alerts` that get an alert of `fault`.

    What is late goes by `late` alone, so that a channel for what is critical may have it too; that an alert could not
    be delivered goes to all.
    """
    return tuple(name for name, channel in channels_of(alerts).items() if _takes(channel, fault, severity))


def _takes(channel: Channel, fault: Fault, severity: Severity) -> bool:
    if fault.code in LATE:
        return channel.late
    if fault.code == _UNDELIVERED:
        return True
    is_meant = not channel.faults or fault.code in channel.faults or fault.kind.value in channel.faults
    return is_meant and severity >= channel.severity
