"""The embedded stack: Postgres, Airflow and a local AWS that runs Spark, out of wheels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.local.stack.errors import AlreadyRunning, NotRunning, StackError, WrongUse
    from sluicegate.local.stack.events import Event, Progress
    from sluicegate.local.stack.stack import Stack, running

__all__ = ["AlreadyRunning", "Event", "NotRunning", "Progress", "Stack", "StackError", "WrongUse", "running"]

_HOMES = {
    "AlreadyRunning": "errors",
    "Event": "events",
    "NotRunning": "errors",
    "Progress": "events",
    "Stack": "stack",
    "StackError": "errors",
    "WrongUse": "errors",
    "running": "stack",
}


def __getattr__(name: str) -> object:
    """Lazily: the stack's components import this package and need none of it."""
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
