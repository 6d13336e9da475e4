"""How pipelines are: facts in, findings out; what is late and what did not run at all is noticed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.health.watch import WatchOperator

__all__ = ["WatchOperator"]


def __getattr__(name: str) -> Any:
    # The callback of a deadline is in this package too, and is imported where DAGs are parsed.
    if name == "WatchOperator":
        from sluicegate.health.watch import WatchOperator

        return WatchOperator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
