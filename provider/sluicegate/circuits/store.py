"""Circuits in Postgres. Each step is one transaction under a lock of its rows, by the database's clock.

A process that dies in between leaves what was there before; a probe without an end counts for no more after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sluicegate.circuits.breaker import Circuit, Settings, State, Wait, admitted, failed, let_go, succeeded
from sluicegate.faults.errors import FaultError
from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = [
    "Change",
    "Known",
    "admit",
    "count_failure",
    "count_success",
    "known_circuits",
    "lasting",
    "release",
    "reset",
]

_NAMES = "name, state, failures, opens, opened_at, until, probe_by, probe_until, last_fault, last_detail"
# A success finds nothing to do nearly always, and takes no lock then.
_RESTLESS = "(state <> 'closed' OR failures > 0)"
_NOT_CLOSED = (
    f"SELECT {_NAMES}, pipelines, clock_timestamp() FROM sluicegate.circuits "  # noqa: S608
    "WHERE name = ANY(%s) AND state <> 'closed' ORDER BY name"
)
_LOCKED = f"SELECT {_NAMES} FROM sluicegate.circuits WHERE name = ANY(%s) ORDER BY name FOR UPDATE"  # noqa: S608
_WRITE = """
UPDATE sluicegate.circuits SET state = %s, failures = %s, opens = %s, opened_at = %s, until = %s, probe_by = %s,
    probe_until = %s, last_fault = %s, last_detail = %s, changed_at = clock_timestamp(),
    pipelines = CASE WHEN %s = 'closed' AND state <> 'closed' THEN '{}' ELSE pipelines END
WHERE name = %s"""
_DETAIL = 500
_PIPELINES = 200


@dataclass(frozen=True)
class Change:
    """A circuit that has changed its state."""

    before: Circuit
    after: Circuit


@dataclass(frozen=True)
class Known:
    """A circuit as a person sees it; `pipelines` had its faults, or wait for it, since it was last closed."""

    circuit: Circuit
    pipelines: tuple[str, ...]
    changed_at: datetime


def admit(
    connection: Connection, names: Sequence[str], who: str, settings: Settings, pipeline: str | None = None
) -> Wait | None:
    """None where `who` may go on, as the probe of those that are open; else what it has to wait for longest.

    Where it has to wait for one circuit, it probes none of the others.

    :param pipeline: to be noted as one that waits
    """
    rows = connection.execute(_NOT_CLOSED, [list(names)]).fetchall() if names else []
    if not rows:
        return None
    # Who waits takes no lock: a thousand tasks that begin at once do not wait for each other.
    circuits, now = [_circuit(row[:-2]) for row in rows], rows[0][-1]
    waits = _waits([admitted(each, who, now, settings) for each in circuits])
    if not waits:
        circuits, now = _locked(connection, names)
        answers = [admitted(each, who, now, settings) for each in circuits]
        waits = _waits(answers)
    if not waits:
        for before, answer in zip(circuits, answers, strict=True):
            if isinstance(answer, Circuit) and answer != before:
                _write(connection, answer)
        return None
    noted = {row[0] for row in rows if pipeline in row[-2]}
    if pipeline is not None and (unnoted := [wait.circuit.name for wait in waits if wait.circuit.name not in noted]):
        _note(connection, unnoted, pipeline)
    return max(waits, key=lambda wait: wait.until)


def _waits(answers: Sequence[Circuit | Wait]) -> list[Wait]:
    return [answer for answer in answers if isinstance(answer, Wait)]


def count_failure(
    connection: Connection, names: Sequence[str], who: str, pipeline: str, error: FaultError, settings: Settings
) -> list[Change]:
    """The circuits that `error` has opened, or opened again."""
    connection.execute(
        "INSERT INTO sluicegate.circuits (name) SELECT unnest(%s::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
        [list(names)],
    )
    detail = redact(error.detail)[:_DETAIL].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    changes = _changed(connection, names, lambda each, now: failed(each, who, now, settings, error.code, detail))
    _note(connection, names, pipeline)
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


def lasting(connection: Connection, longer_than: timedelta) -> list[Known]:
    """Those that have been open for so long."""
    rows = connection.execute(
        f"SELECT {_NAMES}, pipelines, changed_at FROM sluicegate.circuits "  # noqa: S608
        "WHERE state <> 'closed' AND opened_at < clock_timestamp() - %s ORDER BY name",
        [longer_than],
    )
    return [_known(row) for row in rows]


def known_circuits(connection: Connection) -> list[Known]:
    """All that ever had a fault: those that are open first."""
    rows = connection.execute(
        f"SELECT {_NAMES}, pipelines, changed_at FROM sluicegate.circuits "  # noqa: S608
        "ORDER BY state = 'closed', failures = 0, name"
    )
    return [_known(row) for row in rows]


def reset(connection: Connection, name: str) -> Change | None:
    """Close a circuit by hand; None where there is none of that name."""
    circuits, _ = _locked(connection, [name])
    if not circuits:
        return None
    _write(connection, after := succeeded(circuits[0]))
    return Change(circuits[0], after)


def _note(connection: Connection, names: Sequence[str], pipeline: str) -> None:
    connection.execute(
        "UPDATE sluicegate.circuits SET pipelines = (array_append(pipelines, %s))[1:%s] "
        "WHERE name = ANY(%s) AND NOT pipelines @> ARRAY[%s]",
        [pipeline, _PIPELINES, list(names), pipeline],
    )


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


def _known(row: Sequence[Any]) -> Known:
    return Known(_circuit(row[:-2]), tuple(row[-2]), row[-1])


def _circuit(row: Sequence[Any]) -> Circuit:
    name, state, *rest = row
    return Circuit(name, State(state), *rest)


def _write(connection: Connection, circuit: Circuit) -> None:
    connection.execute(
        _WRITE,
        [
            circuit.state.value, circuit.failures, circuit.opens, circuit.opened_at, circuit.until, circuit.probe_by,
            circuit.probe_until, circuit.last_fault, circuit.last_detail,
            circuit.state.value, circuit.name,
        ],
    )  # fmt: skip
