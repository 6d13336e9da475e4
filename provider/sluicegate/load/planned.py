"""Statements of DuckDB whose plans are kept: to plan what casts and checks a few hundred records takes longer than to
do it.

DuckDB plans a statement anew, prepared or not, each time that it reads a table or a file. What reads neither, but has
its records as a parameter, is planned once.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sluicegate.checks.sql import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["planned"]

_KEPT = 32
"""Plans of one DuckDB. Each takes 0.3 MB."""

_numbers = count()
_plans: WeakKeyDictionary[DuckDBPyConnection, dict[str, str]] = WeakKeyDictionary()
"""By query, what it is called."""


def planned(duck: DuckDBPyConnection, query: str, value: str) -> str:
    """The statement that executes `query` on `duck`, not on a cursor of it, with the text `value` for `$1`."""
    plans = _plans.setdefault(duck, {})
    name = plans.pop(query, None)
    if name is None:
        if len(plans) >= _KEPT:
            duck.execute(f"DEALLOCATE {plans.pop(next(iter(plans)))}")
        name = f"sluicegate_{next(_numbers)}"
        duck.execute(f"PREPARE {name} AS {query}")
    plans[query] = name  # The one that was used last is last.
    return f"EXECUTE {name}({literal(value)})"
