"""What a step knows of its run, and what it reports of its work. Imports no Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluicegate.graph.window import Window

__all__ = ["StepContext", "StepResult"]


@dataclass(frozen=True)
class StepContext:
    """What a step knows of its run. `store` is Airflow's task state store, or None outside Airflow."""

    pipeline: str
    step: str
    run_id: str
    try_number: int
    map_index: int
    window: Window
    params: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    force: bool = False
    store: Any = None
    item: Any = None
    recovery: str | None = None
    """The plan of recovery that has asked for this try with `force`."""

    @property
    def mapped(self) -> bool:
        """Whether the step is one of several that its task was expanded into, each with an `item`."""
        return self.map_index >= 0


@dataclass(frozen=True)
class StepResult:
    """What a step that has succeeded reports: the value of its task's XCom, and a line for its log.

    `facts` are what its receipt and the metrics say of it, as JSON values.
    """

    value: Any = None
    line: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
