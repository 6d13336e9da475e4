"""How a circuit opens, lets one task through and closes: a function from values to values. No clock, no database.

Closed, tasks pass and faults in a row are counted. So many of them open it: tasks wait until its pause is over. Then
one task probes (half open) while all others go on waiting; its success closes the circuit, its failure opens it again
for twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["Circuit", "Settings", "State", "Wait", "admitted", "failed", "let_go", "succeeded"]


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class Settings:
    """:param failures: so many faults in a row open a circuit; 0: none ever
    :param pause: how long it is open first; each probe that fails doubles it
    :param longest: the longest pause, and the time after which a probe that says nothing counts for no more
    """

    failures: int = 5
    pause: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=10)

    def pause_of(self, opens: int) -> timedelta:
        """The pause of the `opens`-th time in a row, from 1."""
        return min(self.longest, self.pause * (1 << min(max(opens, 1) - 1, 20)))


@dataclass(frozen=True)
class Circuit:
    """`failures` are those in a row while it is closed, `opens` the pauses in a row. `probe_by` probes alone."""

    name: str
    state: State = State.CLOSED
    failures: int = 0
    opens: int = 0
    opened_at: datetime | None = None
    until: datetime | None = None
    probe_by: str | None = None
    probe_until: datetime | None = None
    last_fault: str | None = None
    last_detail: str | None = None


@dataclass(frozen=True)
class Wait:
    """Not now; to be asked again at `until`, when the answer may be another."""

    circuit: Circuit
    until: datetime
    now: datetime

    @property
    def seconds(self) -> float:
        return max(0.0, (self.until - self.now).total_seconds())


def admitted(circuit: Circuit, who: str, now: datetime, settings: Settings) -> Circuit | Wait:
    """The circuit after `who` has been let through, as a probe where it is open; or that `who` has to wait."""
    if circuit.state is State.CLOSED or circuit.probe_by == who:
        return circuit
    if circuit.state is State.OPEN and circuit.until is not None and now < circuit.until:
        return Wait(circuit, circuit.until, now)
    if circuit.state is State.HALF_OPEN and circuit.probe_until is not None and now < circuit.probe_until:
        return Wait(circuit, min(circuit.probe_until, now + settings.pause), now)
    return replace(circuit, state=State.HALF_OPEN, probe_by=who, probe_until=now + settings.longest)


def failed(circuit: Circuit, who: str, now: datetime, settings: Settings, fault: str, detail: str) -> Circuit:
    """After a fault that concerns it. Of tasks that were let through before it opened, only the words are kept."""
    circuit = replace(circuit, last_fault=fault, last_detail=detail)
    if circuit.state is State.CLOSED:
        circuit = replace(circuit, failures=circuit.failures + 1)
        return _opened(circuit, now, settings) if circuit.failures >= settings.failures else circuit
    return _opened(circuit, now, settings) if circuit.probe_by == who else circuit


def succeeded(circuit: Circuit) -> Circuit:
    """After any success of what needs it. What the last fault was is still to be read."""
    return Circuit(circuit.name, last_fault=circuit.last_fault, last_detail=circuit.last_detail)


def let_go(circuit: Circuit, who: str, now: datetime) -> Circuit:
    """After a probe that proved nothing: it was skipped, or failed for another reason. The next may probe at once."""
    if circuit.state is not State.HALF_OPEN or circuit.probe_by != who:
        return circuit
    return replace(circuit, state=State.OPEN, until=now, probe_by=None, probe_until=None)


def _opened(circuit: Circuit, now: datetime, settings: Settings) -> Circuit:
    opens = circuit.opens + 1
    return replace(
        circuit,
        state=State.OPEN,
        failures=0,
        opens=opens,
        opened_at=circuit.opened_at or now,
        until=now + settings.pause_of(opens),
        probe_by=None,
        probe_until=None,
    )
