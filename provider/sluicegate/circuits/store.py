"""Circuits in Postgres. Each step is one transaction under a lock of its rows, by the database's clock.

A process that dies in between leaves what was there before; a probe without an end counts for no more after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sluicegate.circuits.breaker import Circuit, Settings, State, Wait, admitted, failed, let_go, succeeded
from sluicegate.faults.errors import FaultError
from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = ["Change", "Known", "admit", "count_failure", "count_success", "known_circuits", "release", "reset"]

_NAMES = "name, state, failures, opens, opened_at, until, probe_by, probe_until, last_fault, last_detail"
# A success finds nothing to do nearly always, and takes no lock then.
_RESTLESS = "(state <> 'closed' OR failures > 0)"
_NOT_CLOSED = f"SELECT {_NAMES} FROM sluicegate.circuits WHERE name = ANY(%s) AND state <> 'closed' ORDER BY name"  # noqa: S608
_LOCKED = f"SELECT {_NAMES} FROM sluicegate.circuits WHERE name = ANY(%s) ORDER BY name FOR UPDATE"  # noqa: S608
_WRITE = """
UPDATE sluicegate.circuits SET state = %s, failures = %s, opens = %s, opened_at = %s, until = %s, probe_by = %s,
    probe_until = %s, last_fault = %s, last_detail = %s, changed_at = clock_timestamp()
WHERE name = %s"""
_DETAIL = 500
_PIPELINES = 20


@dataclass(frozen=True)
class Change:
    """A circuit that has changed its state."""

    before: Circuit
    after: Circuit


@dataclass(frozen=True)
class Known:
    """A circuit as a person sees it."""

    circuit: Circuit
    pipelines: tuple[str, ...]
    changed_at: datetime


def admit(connection: Connection, names: Sequence[str], who: str, settings: Settings) -> Wait | None:
    """None where `who` may go on, as the probe of those that are open; else what it has to wait for longest.

    Where it has to wait for one circuit, it probes none of the others.
    """
    if not names or not connection.execute(_NOT_CLOSED, [list(names)]).fetchall():
        return None
    circuits, now = _locked(connection, names)
    answers = [(each, admitted(each, who, now, settings)) for each in circuits]
    waits = [answer for _, answer in answers if isinstance(answer, Wait)]
    if waits:
        return max(waits, key=lambda wait: wait.until)
    for before, answer in answers:
        if isinstance(answer, Circuit) and answer != before:
            _write(connection, answer)
    return None


def count_failure(
    connection: Connection, names: Sequence[str], who: str, pipeline: str, error: FaultError, settings: Settings
) -> list[Change]:
    """The circuits that `error` has opened, or opened again."""
    connection.execute(
        "INSERT INTO sluicegate.circuits (name) SELECT unnest(%s::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
        [list(names)],
    )
    detail = redact(error.detail)[:_DETAIL]
    changes = _changed(connection, names, lambda each, now: failed(each, who, now, settings, error.code, detail))
    connection.execute(
        "UPDATE sluicegate.circuits SET pipelines = (array_append(pipelines, %s))[1:%s] "
        "WHERE name = ANY(%s) AND NOT pipelines @> ARRAY[%s]",
        [pipeline, _PIPELINES, list(names), pipeline],
    )
    return changes


def count_success(connection: Connection, names: Sequence[str]) -> list[Change]:
    """The circuits that a success has closed."""
    restless = connection.execute(
        f"SELECT name FROM sluicegate.circuits WHERE name = ANY(%s) AND {_RESTLESS}",  # noqa: S608
        [list(names)],
    ).fetchall()
    return _changed(connection, [name for (name,) in restless], lambda each, _: succeeded(each))


def release(connection: Connection, names: Sequence[str], who: str) -> list[Change]:
    """Let go of the probes of `who`, which has proved nothing."""
    held = connection.execute(
        "SELECT name FROM sluicegate.circuits WHERE name = ANY(%s) AND probe_by = %s", [list(names), who]
    ).fetchall()
    return _changed(connection, [name for (name,) in held], lambda each, now: let_go(each, who, now))


def known_circuits(connection: Connection) -> list[Known]:
    """All that ever had a fault: those that are open first."""
    rows = connection.execute(
        f"SELECT {_NAMES}, pipelines, changed_at FROM sluicegate.circuits "  # noqa: S608
        "ORDER BY state = 'closed', failures = 0, name"
    )
    return [Known(_circuit(row[:-2]), tuple(row[-2]), row[-1]) for row in rows]


def reset(connection: Connection, name: str) -> Change | None:
    """Close a circuit by hand; None where there is none of that name."""
    circuits, _ = _locked(connection, [name])
    if not circuits:
        return None
    _write(connection, after := succeeded(circuits[0]))
    return Change(circuits[0], after)


def _changed(
    connection: Connection, names: Sequence[str], step: Callable[[Circuit, datetime], Circuit]
) -> list[Change]:
    if not names:
        return []
    circuits, now = _locked(connection, names)
    changes = [Change(each, step(each, now)) for each in circuits]
    for change in changes:
        if change.after != change.before:
            _write(connection, change.after)
    return [change for change in changes if _differ(change)]


def _differ(change: Change) -> bool:
    return change.before.state is not change.after.state


def _locked(connection: Connection, names: Sequence[str]) -> tuple[list[Circuit], datetime]:
    """The clock is read once all locks are held: a wait for one may have been long."""
    circuits = [_circuit(row) for row in connection.execute(_LOCKED, [list(names)])]
    return circuits, connection.execute("SELECT clock_timestamp()").fetchall()[0][0]


def _circuit(row: Sequence[Any]) -> Circuit:
    name, state, *rest = row
    return Circuit(name, State(state), *rest)


def _write(connection: Connection, circuit: Circuit) -> None:
    connection.execute(
        _WRITE,
        [
            circuit.state.value, circuit.failures, circuit.opens, circuit.opened_at, circuit.until, circuit.probe_by,
            circuit.probe_until, circuit.last_fault, circuit.last_detail, circuit.name,
        ],
    )  # fmt: skip
