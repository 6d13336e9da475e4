"""What a stack is started with, as the supervisor gets it. No secrets: a process list shows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluicegate.local.stack.state import State


@dataclass(frozen=True)
class Settings:
    """`bundles`: instead of the one that finds the pipelines below `dags`. `start_timeout` in seconds.

    `holder`: end when standard input does, since the process that asked for the stack is then gone.
    """

    state: State
    dags: Path
    port: int | None = None
    bundles: tuple[Mapping[str, Any], ...] = ()
    holder: bool = False
    start_timeout: float = 180.0
    chaos: str = ""

    def command(self) -> list[str]:
        said = {
            "state": str(self.state.root),
            "dags": str(self.dags),
            "port": self.port,
            "bundles": list(self.bundles),
            "holder": self.holder,
            "start_timeout": self.start_timeout,
            "chaos": self.chaos,
        }
        return [sys.executable, "-m", "sluicegate.local.stack.supervisor", json.dumps(said)]

    @classmethod
    def parse(cls, text: str) -> Settings:
        said = json.loads(text)
        return cls(
            state=State(Path(said["state"])),
            dags=Path(said["dags"]),
            port=said["port"],
            bundles=tuple(said["bundles"]),
            holder=said["holder"],
            start_timeout=said["start_timeout"],
            chaos=said["chaos"],
        )
