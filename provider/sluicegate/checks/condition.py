"""A `row_condition` as SQL: comparisons of a column with a number or a text, nullity, and these joined.

What is not that simple is left to Great Expectations, which hands it to `DataFrame.query`. As there, a missing value
meets no comparison, but for `!=` with a text or a number that is not whole.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from sluicegate.checks.bounds import CheckedColumn, constant
from sluicegate.checks.compiler import Asked
from sluicegate.faults import FaultError

__all__ = ["ELSEWHERE", "NotCompiledError", "condition_of"]

ELSEWHERE = {"row_condition", "condition_parser", "windows", "batch_id"}
"""Arguments that say which records are looked at; those without a value do not count."""
_OPERATORS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_WHOLE = {"SMALLINT", "INTEGER", "BIGINT"}
_COMPARISON = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*)|`(?P<quoted>[^`]+)`)\s*(?P<operator>==|!=|<=|>=|<|>)\s*"
    r"(?P<value>-?\d+(?:\.\d+)?|\"[^\"\\]*\"|'[^'\\]*')\s*",
    re.ASCII,
)


class NotCompiledError(Exception):
    """A condition that only Great Expectations understands."""


def condition_of(asked: Asked, columns: Mapping[str, CheckedColumn]) -> str | None:
    """SQL of the rule's `row_condition`, true or false for every record; None where it has none.

    :raises NotCompiledError: when it is not a simple one.
    """
    said = asked.rule.kwargs
    condition = said.get("row_condition")
    if any(said.get(key) for key in ELSEWHERE - {"row_condition", "condition_parser"}):
        raise NotCompiledError
    if not condition:
        return None
    if isinstance(condition, Mapping) and condition.get("type") == "pass_through":
        condition = condition.get("pass_through_filter")
    if isinstance(condition, Mapping):
        return _structured(asked, columns, condition)
    if not isinstance(condition, str) or said.get("condition_parser") != "pandas":
        raise NotCompiledError
    return _joined([_written(asked, columns, part) for part in re.split(r"\sand\s", condition)], " AND ")


def _written(asked: Asked, columns: Mapping[str, CheckedColumn], text: str) -> str:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise NotCompiledError
    name = match["name"] or match["quoted"]
    return _compared(asked, columns.get(name), match["operator"], literal_eval(match["value"]))


def _structured(asked: Asked, columns: Mapping[str, CheckedColumn], said: Mapping[str, Any]) -> str:
    """A condition of Great Expectations 1.x, as its suites keep it."""
    match said:
        case {"type": "comparison", "column": {"name": name}, "operator": operator, "parameter": value}:
            return _compared(asked, columns.get(name), operator, value)
        case {"type": "nullity", "column": {"name": name}, "is_null": bool(is_null)} if name in columns:
            return columns[name].missing if is_null else f"NOT {columns[name].missing}"
        case {"type": "and" | "or" as kind, "conditions": [*conditions]} if conditions:
            parts = [_structured(asked, columns, each) for each in conditions if isinstance(each, Mapping)]
            return _joined(parts, " AND " if kind == "and" else " OR ")
    raise NotCompiledError


def _compared(asked: Asked, column: CheckedColumn | None, operator: str, value: object) -> str:
    if column is None or operator not in _OPERATORS or column.kind not in {"number", "text"}:
        raise NotCompiledError
    if isinstance(value, bool) or isinstance(value, str) != (column.kind == "text"):
        raise NotCompiledError
    try:
        made = constant(asked.rule, column, value, asked.sql)
    except FaultError as refused:
        raise NotCompiledError from refused
    if made is None:
        raise NotCompiledError
    missing = "true" if operator == "!=" and column.type not in _WHOLE else "false"
    return f"coalesce({column.value} {_OPERATORS[operator]} {made[0]}, {missing})"


def _joined(parts: list[str], joint: str) -> str:
    return f"({joint.join(parts)})"
