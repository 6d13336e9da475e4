"""What a test sees of a run: of each step its state, what it returned, and of a load its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.pipeline.diagnostics import hint
from sluicegate.testing.trigger_rule import MISSING, SUCCESS

__all__ = ["PipelineRun", "StepOutcome"]


@dataclass(frozen=True)
class StepOutcome:
    """One step of a run. Keys of a mapping that it returned are attributes too: `run["load_flights"].inserted`.

    `state` is Airflow's: `success`, `failed`, `skipped` or `upstream_failed`; of a wait also `missing`. `value` is
    what the step returned, of a mapped step the list of what its `instances` did.
    """

    name: str
    state: str
    value: Any = None
    error: BaseException | None = None
    instances: tuple[StepOutcome, ...] = ()

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__.get("value")
        if isinstance(value, Mapping) and name in value:
            return value[name]
        if name.startswith("__"):
            raise AttributeError(name)
        known = f"it returned {', '.join(map(str, value))}" if isinstance(value, Mapping) else f"it returned {value!r}"
        raise AttributeError(f"{self.name} ({self.state}) has no {name!r}: {known}")


@dataclass(frozen=True)
class PipelineRun(Mapping[str, StepOutcome]):
    """The steps of one run by name, in the order in which they ran, those that the factory adds included."""

    pipeline: str
    window: Window
    run_id: str
    outcomes: Mapping[str, StepOutcome]
    wait_ids: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def states(self) -> dict[str, str]:
        """By step, its state."""
        return {name: outcome.state for name, outcome in self.outcomes.items()}

    @property
    def waits(self) -> dict[str, str]:
        """By wait, `satisfied` or `missing`."""
        words = {SUCCESS: "satisfied", MISSING: MISSING}
        return {name: words.get(self[name].state, self[name].state) for name in self if name in self.wait_ids}

    @property
    def error(self) -> BaseException | None:
        """What went wrong first."""
        return next((outcome.error for outcome in self.outcomes.values() if outcome.error is not None), None)

    def __getitem__(self, name: str) -> StepOutcome:
        if name in self.outcomes:
            return self.outcomes[name]
        rest = hint(name, self.outcomes) or f", but {', '.join(self.outcomes)}"
        raise KeyError(f"{self.pipeline} has run no {name!r}{rest}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)
