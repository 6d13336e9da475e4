"""The gate before a step's work: a task whose circuit is open waits in the triggerer, and uses up none of its retries.

What a step ends with is counted: faults that are about a connection or a host open its circuit, a success closes it.
Where the journal cannot be reached nothing is known, and every task is let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import TaskDeferred

from sluicegate.circuits.addresses import Address, answering, named_in
from sluicegate.circuits.breaker import Settings, State, Wait
from sluicegate.circuits.names import circuits_of, concerned, may_be_of_several
from sluicegate.runtime.journal import in_journal
from sluicegate.telemetry.events import emit
from sluicegate.telemetry.metrics import count

if TYPE_CHECKING:
    import psycopg
    from airflow.sdk import BaseOperator

    from sluicegate.circuits.store import Change
    from sluicegate.faults.errors import FaultError
    from sluicegate.runtime.lifecycle import End, Life

    Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = ["AFTER_CIRCUIT", "CircuitGate", "circuit_settings", "circuits_of_task"]

AFTER_CIRCUIT = "after_circuit"
"""The method by which Airflow resumes a task whose circuit has let it through: its work begins."""


_PORTS: Mapping[str, int] = {
    "postgres": 5432, "postgresql": 5432, "redshift": 5439, "mysql": 3306, "mssql": 1433, "oracle": 1521,
}  # fmt: skip


class CircuitGate:
    """See `Observer`. One for each life."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._put_off = False

    def began(self, life: Life) -> None:
        settings = circuit_settings()
        if not settings.failures or life.journal is None or not (names := _circuits(life.task)):
            return
        self._names = names
        if life.resumed and not life.waited:
            return  # a cluster runs: its work goes on
        who = _who(life)

        def work(connection: Connection) -> Wait | None:
            from sluicegate.circuits.store import admit

            return admit(connection, names, who, settings, life.step.pipeline)

        wait = in_journal(life.journal, "whether its circuits are open", work)
        if wait is not None:
            self._put_off = True
            self._wait(life, wait, who)

    def ended(self, life: Life, end: End) -> None:
        from sluicegate.runtime.lifecycle import Deferred, Failed, Succeeded

        if not self._names or self._put_off or isinstance(end, Deferred):
            return
        names, who, settings = self._names, _who(life), circuit_settings()
        foreign = not hasattr(life.task, "circuits")
        about: tuple[str, ...] = ()
        if isinstance(end, Failed):
            about = concerned(names, end.error, foreign=foreign) or _of_several(names, end.error)

        def work(connection: Connection) -> list[Change]:
            from sluicegate.circuits.store import count_failure, count_success, release

            if isinstance(end, Succeeded):
                return count_success(connection, names)
            changes: list[Change] = []
            if isinstance(end, Failed) and about:
                changes = count_failure(connection, about, who, life.step.pipeline, end.error, settings)
            release(connection, names, who)
            return changes

        _tell(in_journal(life.journal, "the state of its circuits", work) or ())

    def _wait(self, life: Life, wait: Wait, who: str) -> None:
        from sluicegate.runtime.circuit_trigger import CircuitTrigger

        circuit = wait.circuit
        count("circuits", {"circuit": circuit.name, "change": "waited"})
        line = (
            f"{circuit.name} is not asked now: {circuit.last_fault or 'it failed'}. This task waits, asks again in "
            f"{wait.seconds:.0f} s, and uses up no retry (`sluicegate circuits reset {circuit.name}` lets all through)."
        )
        emit("circuit.waited", line, level="warning", circuit=circuit.name, seconds=round(wait.seconds, 1))
        trigger = CircuitTrigger(journal=life.journal or "", names=self._names, who=who, seconds=wait.seconds)
        raise TaskDeferred(trigger=trigger, method_name=AFTER_CIRCUIT)


def _of_several(names: Sequence[str], error: FaultError) -> tuple[str, ...]:
    """Of several databases that a step needs, those that could not be reached."""
    if not may_be_of_several(error):
        return ()
    addresses = {name: found for name in names if name.startswith("connection:") and (found := _address(name))}
    if len(addresses) < 2:
        return ()
    if named := named_in(error.detail, addresses):
        return named
    return tuple(sorted(addresses.keys() - answering(addresses))) if error.code == "WAREHOUSE_UNREACHABLE" else ()


def _address(name: str) -> Address | None:
    """Where the database of a circuit is, if its Airflow connection says that."""
    from airflow.sdk import BaseHook

    try:
        connection = BaseHook.get_connection(name.partition(":")[2])
    except Exception:
        return None
    port = connection.port or _PORTS.get(str(connection.conn_type))
    return (connection.host, port) if connection.host and port else None


def circuits_of_task(task: BaseOperator, *, needs_aws: bool = False) -> tuple[str, ...]:
    """The circuits of any operator, by its rendered template fields and the connections that it names."""
    values = (getattr(task, name, None) for name in task.template_fields)
    return circuits_of(vars(task), values, needs_aws=needs_aws)


@cache
def circuit_settings() -> Settings:
    """As `[sluicegate]` of Airflow's configuration says."""
    from airflow.sdk.configuration import conf

    usual = Settings()
    seconds = {
        name: conf.getfloat("sluicegate", f"circuit_{name}", fallback=getattr(usual, name).total_seconds())
        for name in ("pause", "longest")
    }
    return Settings(
        failures=max(0, conf.getint("sluicegate", "circuit_failures", fallback=usual.failures)),
        pause=timedelta(seconds=max(1.0, seconds["pause"])),
        longest=timedelta(seconds=max(1.0, seconds["pause"], seconds["longest"])),
    )


def _circuits(task: BaseOperator) -> tuple[str, ...]:
    own = getattr(task, "circuits", None)
    if callable(own):
        found: tuple[str, ...] = own()
        return found
    return circuits_of_task(task, needs_aws=getattr(task, "aws_conn_id", None) is not None)


def _who(life: Life) -> str:
    step = life.step
    return f"{step.pipeline}.{step.step} {step.run_id} {step.map_index} {step.try_number}"


def _tell(changes: Iterable[Change]) -> None:
    for change in changes:
        after = change.after
        if after.state is State.OPEN and after.until is not None:
            until = after.until.isoformat(timespec="seconds")
            line = f"The circuit of {after.name} is open until {until}: {after.last_fault}. Tasks that need it wait."
            count("circuits", {"circuit": after.name, "change": "opened"})
            emit("circuit.opened", line, level="warning", circuit=after.name, until=until, fault=after.last_fault)
        elif after.state is State.CLOSED:
            count("circuits", {"circuit": after.name, "change": "closed"})
            emit("circuit.closed", f"The circuit of {after.name} is closed again.", circuit=after.name)
