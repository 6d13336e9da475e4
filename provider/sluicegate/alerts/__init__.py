"""Alerts: what is said when a pipeline has failed or is late, to whom, and once."""

from __future__ import annotations

from sluicegate.alerts.message import Alert
from sluicegate.alerts.routing import channels_for

__all__ = ["Alert", "channels_for"]
