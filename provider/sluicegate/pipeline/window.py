"""The window of a run, and the windows of another pipeline's runs that end inside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Window"]


@dataclass(frozen=True, order=True)
class Window:
    """The data interval of a run: `start` inclusive, `end` exclusive, both aware."""

    start: datetime
    end: datetime

    @property
    def ds(self) -> str:
        """The day of `start`, as `YYYY-MM-DD`."""
        return self.start.strftime("%Y-%m-%d")

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"
