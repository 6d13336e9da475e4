"""Dead letters once more: mended or as they are, by the same way as a load. Heavy parts are imported lazily."""

from __future__ import annotations

from sluicegate.load.replay.report import ReplayReport

__all__ = ["ReplayReport"]
