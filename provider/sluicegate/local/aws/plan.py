"""How often which fault happens: `throttling=0.2,capacity=0.1,seed=7` -> `Plan`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = ["BY_CALL", "BY_CLUSTER", "CHANGING", "DEFAULT", "Fault", "Plan", "PlanError"]

DEFAULT = "default"
SEED = 122
"""That of a plan which says none."""


class Fault(StrEnum):
    """The kinds of faults."""

    THROTTLING = "throttling"
    SERVER_ERROR = "server-error"
    LOST_RESPONSE = "lost-response"
    READ_TIMEOUT = "read-timeout"
    LISTING_LAG = "listing-lag"
    SLOW_START = "slow-start"
    CAPACITY = "capacity"
    STEP_FAILURE = "step-failure"
    SPOT_LOSS = "spot-loss"


BY_CALL = frozenset({Fault.THROTTLING, Fault.SERVER_ERROR, Fault.LOST_RESPONSE, Fault.READ_TIMEOUT})
BY_CLUSTER = frozenset(Fault) - BY_CALL
_CHANGE = frozenset({"RunJobFlow", "AddJobFlowSteps", "TerminateJobFlows", "CancelSteps", "AddTags"})
CHANGING: Mapping[Fault, frozenset[str]] = MappingProxyType({Fault.LOST_RESPONSE: _CHANGE, Fault.READ_TIMEOUT: _CHANGE})
"""Faults that a plan injects at calls that change something; an armed fault may be at any."""

PRESET: Mapping[Fault, float] = MappingProxyType(
    {
        Fault.THROTTLING: 0.2,
        Fault.SERVER_ERROR: 0.05,
        Fault.LOST_RESPONSE: 0.15,
        Fault.LISTING_LAG: 0.3,
        Fault.SLOW_START: 0.3,
        Fault.CAPACITY: 0.15,
        Fault.SPOT_LOSS: 0.1,
        Fault.STEP_FAILURE: 0.1,
    }
)
"""The plan `default`. No read timeouts: each of them takes minutes."""


class PlanError(ValueError):
    """A plan that cannot be read: what was found, and what is expected."""


@dataclass(frozen=True)
class Plan:
    """Rates between 0 and 1 by kind of fault, and the seed that decides when."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = SEED

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Reads `<fault>=<rate>,…[,seed=<number>]`; `default` among them stands for the preset.

        :raises PlanError: the text is something else
        """
        rates: dict[Fault, float] = {}
        seed = SEED
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (word.strip() for word in part.partition("="))
            if name == DEFAULT and not equals:
                rates |= PRESET
            elif not equals:
                raise PlanError(f"{part!r} has no rate{_hint(name)}: write <fault>=<rate>, as in throttling=0.2.")
            elif name == "seed":
                seed = _seed(value)
            else:
                rates[_fault(name)] = _rate(name, value)
        if not rates:
            raise PlanError(f"The plan {text!r} names no fault: expected {DEFAULT!r} or {_all()}.")
        return cls(rates, seed)

    def __bool__(self) -> bool:
        return any(self.rates.values())

    def __str__(self) -> str:
        """The text of which `parse` makes the same plan; empty for none."""
        if not self:
            return ""
        words = [f"{kind}={rate:g}" for kind, rate in self.rates.items() if rate]
        return ",".join([*words, f"seed={self.seed}"])


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError as error:
        raise PlanError(f"Unknown fault {name!r}{_hint(name)}: expected {_all()}, or seed.") from error


def _hint(name: str) -> str:
    close = did_you_mean(name, [*Fault, "seed", DEFAULT])
    return f" (did you mean {str(close)!r}?)" if close and close != name else ""


def _rate(name: str, value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = -1
    if not 0 <= rate <= 1:
        raise PlanError(f"The rate of {name} is {value!r}: expected a number between 0 and 1, as in {name}=0.2.")
    return rate


def _seed(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise PlanError(f"The seed is {value!r}: expected a whole number, as in seed=7.") from None


def _all() -> str:
    return ", ".join(Fault)
