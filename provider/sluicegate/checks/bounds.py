"""What a rule compares a column with: numbers, texts, moments, each as the column's type has it, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from sluicegate.checks.dialect import DUCKDB, SqlDialect
from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError, fault

__all__ = ["CheckedColumn", "broken", "constant", "with_moments"]

_LIMITS = ("min_value", "max_value")
_SET = ("value_set",)
_COMPARED: Mapping[str, tuple[str, ...]] = {
    "expect_column_values_to_be_between": _LIMITS,
    "expect_column_max_to_be_between": _LIMITS,
    "expect_column_min_to_be_between": _LIMITS,
    "expect_column_values_to_be_in_set": _SET,
    "expect_column_values_to_not_be_in_set": _SET,
    "expect_column_distinct_values_to_be_in_set": _SET,
    "expect_column_distinct_values_to_contain_set": _SET,
    "expect_column_distinct_values_to_equal_set": _SET,
    "expect_column_most_common_value_to_be_in_set": _SET,
}
"""The arguments that are values of the column itself. Those of other expectations are counts, shares and the like."""
_LOOKS = {"DATE": "a date such as 2025-09-01", "TIMESTAMP": "a time such as 2025-09-01T14:30:00"}


@dataclass(frozen=True)
class CheckedColumn:
    """A column as a rule sees it: SQL of its value, of whether it is missing, DuckDB's type, its kind, and the zone in
    which its local times are (UTC where there is none).
    """

    value: str
    missing: str
    type: str
    kind: Literal["number", "text", "moment", "boolean", "other"]
    zone: str | None = None


def constant(
    rule: Rule, column: CheckedColumn, value: object, sql: SqlDialect = DUCKDB
) -> tuple[str, tuple[str, str] | None] | None:
    """SQL of a constant to compare `column` with, and what must cast for it to be right. None for None.

    :raises FaultError: CHECK_BROKEN when it cannot be compared.
    """
    if value is None:
        return None
    name = rule.columns[0]
    if column.kind == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or math.isnan(value):
            raise broken(rule, f"{value!r} is not a number, and column {name!r} is")
        text, kind = _number(column, value)
        return sql.constant(text, kind), (text, kind)
    if column.kind == "moment":
        moment = _moment(rule, column, value)
        text = moment.date().isoformat() if column.type == "DATE" else moment.isoformat(" ")
        return sql.constant(text, column.type), None
    if column.kind == "text" and not isinstance(value, str):
        raise broken(rule, f"column {name!r} is text and cannot be compared with {value!r}; give it a type in columns:")
    text = str(value)
    return sql.constant(text, column.type), (text, column.type)


def with_moments(rule: Rule, columns: Mapping[str, CheckedColumn]) -> Rule:
    """`rule` for Great Expectations, which takes a text for a day and no timestamp: its bounds as what they are.

    :raises FaultError: CHECK_BROKEN when one of them cannot be compared with its column.
    """
    column = columns.get(rule.columns[0]) if rule.columns else None
    if column is None or column.kind not in {"moment", "number"}:
        return rule
    made = dict(rule.kwargs)
    for key in _COMPARED.get(rule.expectation, ()):
        given = made.get(key)
        values = given if isinstance(given, (list, tuple)) else [given]
        for value in values:
            constant(rule, column, value)
        if column.kind == "moment":
            moments = [None if value is None else _moment(rule, column, value) for value in values]
            made[key] = moments if isinstance(given, (list, tuple)) else moments[0]
    return replace(rule, kwargs={key: value for key, value in made.items() if key in rule.kwargs})


def broken(rule: Rule, why: str) -> FaultError:
    return fault("CHECK_BROKEN", f"{rule.said}: {why}", rule=rule.name)


def _moment(rule: Rule, column: CheckedColumn, value: object) -> datetime:
    """`value` as a moment of the column's type: with a zone for a TIMESTAMPTZ, without one for the others."""
    name, looks = rule.columns[0], _LOOKS.get(column.type, "a moment such as 2025-09-01T14:30:00Z")
    try:
        moment = _parse(value)
    except ValueError:
        raise broken(rule, f"{value!r} is not {looks}, as column {name!r} needs") from None
    if column.type == "TIMESTAMPTZ":
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if column.zone is None else ZoneInfo(column.zone))
        return moment.astimezone(UTC)
    if moment.tzinfo is not None:
        raise broken(rule, f"{value!r} has a zone, and column {name!r} keeps none (expected {looks})")
    if column.type == "DATE" and moment.time() != time():
        raise broken(rule, f"{value!r} has a time of the day, and column {name!r} keeps none (expected {looks})")
    return moment


def _parse(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if not isinstance(value, str):
        raise ValueError(value)
    return datetime.fromisoformat(value.strip())


_DIGITS = {"SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}
_LARGEST_SINGLE = 3.4028234663852886e38
_WIDEST = 38
"""Digits of a decimal, before and behind the point."""


def _number(column: CheckedColumn, value: float | Decimal) -> tuple[str, str]:
    """A number as text, and the type in which it is compared with the column's values without a rounding.

    A single-precision column is compared in single precision: its 0.1 is the nearest that it has.
    """
    if column.type in {"FLOAT", "DOUBLE", "VARCHAR"} or isinstance(value, float) or not Decimal(value).is_finite():
        single = column.type == "FLOAT" and abs(float(value)) <= _LARGEST_SINGLE
        return repr(float(value)), "FLOAT" if single else "DOUBLE"
    whole, scale = _room(column.type)
    number = Decimal(value)
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    behind, before = max(0, -exponent), max(1, len(digits) + exponent)
    if before > whole:  # further out than any value of the column
        return "-Infinity" if sign else "Infinity", "DOUBLE"
    if whole + max(scale, behind) > _WIDEST:
        return repr(float(value)), "DOUBLE"
    return f"{number:f}", f"DECIMAL({before + behind},{behind})"


def _room(type_: str) -> tuple[int, int]:
    """How many digits values of a type have before and behind the point."""
    if type_.startswith("DECIMAL("):
        precision, scale = (int(part) for part in type_[len("DECIMAL(") : -1].split(","))
        return precision - scale, scale
    return _DIGITS.get(type_, _WIDEST), 0
