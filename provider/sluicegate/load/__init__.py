"""Loads: one source version into one target, once, with bad records set aside. Heavy parts are imported lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.load.dead_letters_operator import DeadLettersOperator
    from sluicegate.load.load import Loader, load
    from sluicegate.load.operator import LoadOperator
    from sluicegate.load.report import LoadReport
    from sluicegate.load.request import LoadRequest
    from sluicegate.targets.postgres.target import PostgresTarget

__all__ = ["DeadLettersOperator", "LoadOperator", "LoadReport", "LoadRequest", "Loader", "PostgresTarget", "load"]

_HOMES = {
    "DeadLettersOperator": "load.dead_letters_operator",
    "LoadOperator": "load.operator",
    "LoadReport": "load.report",
    "LoadRequest": "load.request",
    "Loader": "load.load",
    "PostgresTarget": "targets.postgres.target",
    "load": "load.load",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"sluicegate.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
