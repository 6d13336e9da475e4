"""A fault as it leaves a task. Of one that was foreseen Airflow logs a line, not the way through our code.

Airflow's task runner logs whatever ends a task with its traceback, but for an exit of the process: of that it logs
the exit's code, and treats it as any failure, with the task's retry policy and its callbacks. So a foreseen fault
leaves as one that is an exit too. All else is as before: it is a `FaultError` of its class and an `Exception`.
"""

from __future__ import annotations

from sluicegate.faults.catalogue import FaultClass
from sluicegate.faults.errors import DataFault, FatalFault, FaultError, TransientFault
from sluicegate.faults.frames import own_code

__all__ = ["leaving"]

_BUGS = frozenset({"CODE_BROKEN", "CODE_FAILED"})


def _exit(kind: type[FaultError]) -> type[FaultError]:
    """`kind`, called the same, as an exit too. `code`, which SystemExit has as well, is the fault's."""
    return type(kind.__name__, (kind, SystemExit), {"__module__": kind.__module__, "__doc__": kind.__doc__})


_EXITS = {
    FaultClass.TRANSIENT: _exit(TransientFault),
    FaultClass.DATA: _exit(DataFault),
    FaultClass.FATAL: _exit(FatalFault),
}


def leaving(error: FaultError, cause: BaseException | None) -> FaultError:
    """What to raise of `error` at a task's end, from `cause`: itself where its traceback is worth reading.

    That is what is not in the catalogue; a bug outside the author's code, whose frames the report shows; or any,
    with `[sluicegate] tracebacks`.
    """
    is_foreseen = error.code != "UNKNOWN" and (error.code not in _BUGS or bool(own_code(cause or error)))
    if not is_foreseen or _wants_tracebacks():
        return error
    found = _EXITS[error.fault.kind](error.fault, error.detail, error.facts)
    found.where, found.reported = error.where, error.reported
    return found


def _wants_tracebacks() -> bool:
    from airflow.sdk.configuration import conf

    return bool(conf.getboolean("sluicegate", "tracebacks", fallback=False))
