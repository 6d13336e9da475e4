"""Conditions on the values of columns: what a run is narrowed to (`scope`), and what deletes a row (`delete_when`).

Pure: values in, SQL of the stage out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any

from sluicegate.checks.sql import literal
from sluicegate.faults import fault
from sluicegate.graph.template import uses, value_of
from sluicegate.graph.window import Window
from sluicegate.records.exact import places
from sluicegate.records.types import ColumnType

__all__ = ["Values", "as_values", "condition", "rendered_scope", "scope_of_letters", "text_of"]

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


def condition(
    values: Values, columns: Mapping[str, ColumnType], place: Callable[[str], str], fits: Callable[[str, str], bool]
) -> str:
    """SQL that is true, never NULL, where a record has one of the values in each of the columns.

    :param place: the name of a column in the SQL.
    :param fits: whether a text is a value of a DuckDB type.
    :raises FaultError: WRONG_USE when a value is not of its column's type.
    """
    parts = []
    for name, some in values.items():
        type_ = columns[name].duck
        texts = [text_of(value) for value in some if value is not None]
        for text in texts:
            if not fits(text, type_) or _is_rounded(text, columns[name]):
                raise fault("WRONG_USE", f"{text!r} is not a value of the column {name!r}, which is {columns[name]}")
        listed = ", ".join(f"CAST({literal(text)} AS {type_})" for text in texts)
        one = f"coalesce({place(name)} IN ({listed}), false)" if texts else "false"
        parts.append(f"({one} OR {place(name)} IS NULL)" if None in some else one)
    return " AND ".join(parts) or "true"


def _is_rounded(text: str, type_: ColumnType) -> bool:
    """Whether the column cannot hold all digits of a number: DuckDB would round them, and the target would not."""
    if not type_.is_number or type_.is_text or type_.name in {"real", "double"}:
        return False
    try:
        return places(text) > (type_.scale or 0)
    except InvalidOperation:  # `0x1F`, which is refused in a record too
        return True


def text_of(value: object) -> str:
    """A value of a pipeline file as the text that a record would have it in."""
    return str(value).lower() if isinstance(value, bool) else str(value)
