"""What the supervisor reports to the process that started it: one JSON object a line, on its standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["starting", "ready", "healthy", "died", "note", "failed", "stopping", "stopped"]


@dataclass(frozen=True)
class Event:
    """`text` is a whole line for a person; `seconds` counts from the start of what it speaks of.

    `remedy` and `exit_code` belong to `failed`.
    """

    kind: Kind
    text: str
    component: str = ""
    seconds: float | None = None
    remedy: str = ""
    exit_code: int = 0

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Event | None:
        """The event of a line, or None where it is none (a stray print of a library)."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None


Progress = Callable[[Event], None]
