"""Conditions on the values of columns: what a run is narrowed to (`scope`), and what deletes a row (`delete_when`).

Their values are read as those of records are, once, and written in the one way that the stage and every target read
alike: of rows that are replaced, the two must mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sluicegate.checks.sql import literal
from sluicegate.faults import fault
from sluicegate.graph.template import uses, value_of
from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.model import Column
from sluicegate.records.casts import Cast
from sluicegate.records.types import ColumnType

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Values", "as_values", "condition", "read_values", "rendered_scope", "scope_of_letters"]

_OF_THE_WEB = re.compile(r"\d{4}-\d{2}-\d{2}[tT]\d{2}:[0-9:.+-]*[zZ]?")
"""RFC 3339, which also has small letters."""

Values = Mapping[str, tuple[object, ...]]
"""By column, the values of which a record has one."""


def rendered_scope(scope: Mapping[str, Any], window: Window, params: Mapping[str, Any], **names: Any) -> dict[str, Any]:
    """`scope` with its templates filled in. A template alone keeps what its expression is; None narrows nothing.

    :raises FaultError: WRONG_USE when a template cannot be filled in.
    """
    try:
        filled = {
            column: [value_of(each, window=window, params=params, **names) for each in said]
            if isinstance(said, list | tuple)
            else value_of(said, window=window, params=params, **names)
            for column, said in scope.items()
        }
    except ValueError as unrendered:
        raise fault("WRONG_USE", f"scope: {unrendered}") from unrendered
    return {column: said for column, said in filled.items() if said is not None}


def scope_of_letters(scope: Mapping[str, Any], window: Window | None) -> dict[str, Any]:
    """The part of `scope` that holds for all loads of a window: what a param or an item said is not known any more, and
    a run that was not narrowed has the same letters.
    """
    known = {"window", "ds"} if window is not None else set()
    kept = {
        column: said
        for column, said in scope.items()
        if all(uses(str(one)) <= known for one in (said if isinstance(said, list | tuple) else [said]))
    }
    now = datetime.now(UTC)
    return rendered_scope(kept, window or Window(now, now), {})


def as_values(said: Mapping[str, Any]) -> Values:
    """Each column's value, or its list of values, as a tuple."""
    return {column: tuple(one) if isinstance(one, list | tuple) else (one,) for column, one in said.items()}


def read_values(
    duck: DuckDBPyConnection, values: Values, types: Mapping[str, ColumnType], columns: Mapping[str, Column]
) -> dict[str, tuple[str | None, ...]]:
    """The texts of `values`, as values of their columns' types.

    A moment without a zone is one in UTC. Of one with a zone, a column without one has the time in the zone that
    `columns` says, or in UTC; a date is the day that is written there.

    :raises FaultError: WRONG_USE when a value is not of its column's type.
    """
    return {
        name: tuple(None if one is None else _read(duck, one, name, types[name], columns.get(name)) for one in some)
        for name, some in values.items()
    }


def _read(duck: DuckDBPyConnection, value: object, name: str, type_: ColumnType, column: Column | None) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    zone = None
    if type_.is_moment and _OF_THE_WEB.fullmatch(text):
        text = text.upper()
    if type_.name == "date":
        with suppress(ValueError):
            text = datetime.fromisoformat(text).date().isoformat()
    elif type_.is_moment:
        zone = (column.zone if column is not None and type_.name == "timestamp" else None) or "UTC"
    cast = Cast(type_, zone=zone)
    made = cast.value("r", "VARCHAR")
    lost = cast.lost("r", "v", "VARCHAR") or "false"
    row = duck.execute(
        f"SELECT CAST(v AS VARCHAR), {lost} FROM (SELECT r, {made} AS v FROM (SELECT CAST(? AS VARCHAR) AS r))", [text]
    ).fetchone()
    if row is None or row[0] is None or row[1]:
        raise fault("WRONG_USE", f"{text!r} is not a value of the column {name!r}, which is {type_}")
    return str(row[0])


def condition(values: Values, columns: Mapping[str, ColumnType], place: Callable[[str], str]) -> str:
    """SQL that is true, never NULL, where a record has one of the values in each of the columns.

    :param values: what `read_values` gave.
    :param place: the name of a column in the SQL.
    """
    parts = []
    for name, some in values.items():
        type_ = columns[name].duck
        listed = ", ".join(f"CAST({literal(str(value))} AS {type_})" for value in some if value is not None)
        one = f"coalesce({place(name)} IN ({listed}), false)" if listed else "false"
        parts.append(f"({one} OR {place(name)} IS NULL)" if None in some else one)
    return " AND ".join(parts) or "true"
