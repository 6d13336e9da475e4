"""Who is notified when a pipeline fails or is late: channels by name. How to add a key: see `base`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluicegate.pipeline.keys.base import Arguments, Flag, Mark, Model, Name, SomeOf

__all__ = ["Channel", "Severity", "channels_of"]


class Severity(StrEnum):
    """How bad it is, the least first."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    def __ge__(self, other: str) -> bool:
        order = list(Severity)
        return order.index(self) >= order.index(Severity(other))


class Channel(Model):
    """A channel: where alerts go, by a notifier of Airflow. `null` in place of one that `defaults.yaml` has switches it
    off; keys of one that `defaults.yaml` has are changed one by one.
    """

    _blank: ClassVar[bool] = True

    notifier: Annotated[Name | None, Mark.FILLED] = None
    """A notifier by its import path: of Airflow's providers, of Sluicegate, or your own. Default: as `defaults.yaml`
    says. Example: `airflow.providers.smtp.notifications.smtp.SmtpNotifier`."""
    with_: Arguments = Field(default_factory=dict, alias="with")
    """Its arguments, checked against its signature. The words of the alert are given to it where nothing is said here;
    templates know the alert as `alert`. Secrets belong in an Airflow connection. Example:
    `{to: on-call@example.com}`."""
    faults: SomeOf[Name] = ()
    """Only alerts of these faults, by code or class (`transient`, `data`, `fatal`). Default: all. Example:
    `[fatal, data, SOURCE_MISSING]`."""
    severity: Severity = Severity.WARNING
    """Only alerts that are at least this bad: a fatal fault is `critical`, any other one an `error`, what is late a
    `warning`. Example: `critical`."""
    late: Flag = True
    """Whether it gets alerts of what is late or did not run. Example: `false`."""

    def __hash__(self) -> int:
        return hash((self.notifier, self.faults, self.severity, self.late))


def channels_of(alerts: Mapping[str, Channel | None]) -> dict[str, Channel]:
    """The channels that are not switched off."""
    return {name: channel for name, channel in alerts.items() if channel is not None}
