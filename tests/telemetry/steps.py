"""A step that ends as it is told, with facts as those of a load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.graph.window import Window
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance

__all__ = ["DAY", "FACTS", "run"]

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = Window(TODAY - timedelta(days=1), TODAY)


class Told(StepOperator):
    """Ends as it is told."""

    def __init__(self, *, result: StepResult | None = None, error: Exception | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.result, self.error = result, error
        self.facts: dict[str, Any] = {}

    def run(self, context: Any, step: StepContext) -> StepResult:
        if self.error is not None:
            self.facts = {"counts": {"read": 5, "dead": 5}, "dead_letters": {"type:amount": 5}}
            raise self.error
        assert self.result is not None
        return self.result


def run(window: Window = DAY, **told: Any) -> None:
    with PipelineDAG("orders", schedule=None):
        step = Told(task_id="load", **told)
    instance = StepInstance(step, window, params={"dry_run": False})
    if "error" in told:
        with pytest.raises(type(told["error"])):
            instance.execute()
    else:
        instance.execute()


FACTS = {
    "status": "loaded",
    "counts": {"read": 9, "inserted": 7, "updated": 0, "dead": 2},
    "seconds": {"stage": 0.25, "apply": 1.5},
    "dead_letters": {"required:tailnum": 2},
    "clusters": [{"cluster_id": "j-1", "seconds": 61.4}],
    "resolved": 1,
}
