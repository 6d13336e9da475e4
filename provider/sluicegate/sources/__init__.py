"""What lands data of databases and APIs as raw files, which a load then reads. Heavy parts are imported lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.sources.operator import FetchOperator

__all__ = ["FetchOperator"]


def __getattr__(name: str) -> object:
    if name == "FetchOperator":
        from sluicegate.sources.operator import FetchOperator

        return FetchOperator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
