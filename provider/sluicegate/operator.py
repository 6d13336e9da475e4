"""The base of our operators: one run's window, dry run and force, and every error as a fault of the catalogue."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluicegate.pipeline.window import Window

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["StepContext", "StepOperator"]


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


class StepOperator(BaseOperator):
    """Base of the `load`, `spark`, `transform` and `python` steps. Subclasses implement `run`."""

    def __init__(self, *, pipeline: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    @abstractmethod
    def run(self, context: Context, step: StepContext) -> Any:
        """The work. Raises `FaultError`; whatever else comes out is classified."""

    def execute(self, context: Context) -> Any:
        raise NotImplementedError
