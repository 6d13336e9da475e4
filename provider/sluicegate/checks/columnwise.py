"""Expectations about the values of one column, as conditions on a record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from sluicegate.checks.bounds import with_moments
from sluicegate.checks.compiler import Asked, CompiledRule, Compiler, bounded, in_order, present, unless
from sluicegate.checks.dialect import PARSES
from sluicegate.checks.patterns import found, is_plain

__all__ = ["COLUMNWISE", "membership"]


def _not_null(asked: Asked) -> CompiledRule:
    return CompiledRule(asked.rule, asked.column.missing, "true")


def _null(asked: Asked) -> CompiledRule:
    return CompiledRule(asked.rule, f"NOT {asked.column.missing}", "true")


def _between(asked: Asked) -> CompiledRule | None:
    if asked.column.kind == "boolean":
        return None
    low, high = (asked.constant(asked.get(key)) for key in ("min_value", "max_value"))
    if low is None and high is None:
        raise asked.broken("it needs a min_value or a max_value")
    in_order(asked.rule, with_moments(asked.rule, {asked.rule.columns[0]: asked.column}).kwargs)
    condition = bounded(asked, asked.column.value, low and low[0], high and high[0])
    return unless(asked, condition, [bound[1] for bound in (low, high) if bound is not None])


def _in_set(asked: Asked) -> CompiledRule:
    condition, constants = membership(asked)
    return unless(asked, condition, constants)


def _not_in_set(asked: Asked) -> CompiledRule:
    condition, constants = membership(asked)
    return unless(asked, f"NOT ({condition})", constants)


def membership(asked: Asked) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The condition that the column's value is in `value_set`, and its constants."""
    values = asked.kwargs["value_set"]
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise asked.broken("its value_set is not a list")
    made = [one for value in values if (one := asked.constant(value)) is not None]
    constants = tuple(one[1] for one in made if one[1] is not None)
    nothing = f"CASE WHEN {asked.column.value} IS NOT NULL THEN false END"
    return (f"{asked.column.value} IN ({', '.join(one[0] for one in made)})" if made else nothing), constants


def _matches(asked: Asked) -> CompiledRule | None:
    return _searched(asked, [asked.kwargs["regex"]], "{}")


def _not_matches(asked: Asked) -> CompiledRule | None:
    return _searched(asked, [asked.kwargs["regex"]], "NOT {}")


def _matches_list(asked: Asked) -> CompiledRule | None:
    return _searched(asked, _listed(asked, "regex_list"), "{}", _joint(asked))


def _not_matches_list(asked: Asked) -> CompiledRule | None:
    return _searched(asked, _listed(asked, "regex_list"), "NOT {}")


def _listed(asked: Asked, key: str) -> list[object]:
    given = asked.kwargs[key]
    if not isinstance(given, (list, tuple)) or not given:
        raise asked.broken(f"its {key} is not a list of patterns")
    return list(given)


def _joint(asked: Asked) -> str:
    match_on = asked.kwargs.get("match_on") or "any"
    if match_on not in {"any", "all"}:
        raise asked.broken(f"match_on is {match_on!r} (expected any or all)")
    return " OR " if match_on == "any" else " AND "


def _searched(asked: Asked, patterns: list[object], each: str, joint: str = " AND ") -> CompiledRule | None:
    texts = [_pattern(asked, pattern) for pattern in patterns]
    if asked.column.kind in {"boolean", "moment"} and asked.column.type != "DATE":
        return None  # How these are written is for pandas to say.
    if asked.column.type in {"FLOAT", "DOUBLE"} and not asked.sql.writes_floats:
        return None
    text = asked.sql.text(asked.column.value)
    conditions = [each.format(f"({found(asked.sql, text, pattern, native=asked.native)})") for pattern in texts]
    own = [pattern for pattern in texts if is_plain(pattern)] if asked.native else []
    return unless(asked, joint.join(conditions), patterns=own)


def _pattern(asked: Asked, pattern: object) -> str:
    if not isinstance(pattern, str):
        raise asked.broken("its regex is not a text")
    try:
        re.compile(pattern)
    except re.error as error:
        raise asked.broken(f"{pattern!r} is not a regular expression: {error}") from error
    return pattern


def _like(asked: Asked) -> CompiledRule | None:
    return _alike(asked, [asked.kwargs["like_pattern"]], "{}")


def _not_like(asked: Asked) -> CompiledRule | None:
    return _alike(asked, [asked.kwargs["like_pattern"]], "NOT {}")


def _like_list(asked: Asked) -> CompiledRule | None:
    return _alike(asked, _listed(asked, "like_pattern_list"), "{}", _joint(asked))


def _not_like_list(asked: Asked) -> CompiledRule | None:
    return _alike(asked, _listed(asked, "like_pattern_list"), "NOT {}")


def _alike(asked: Asked, patterns: list[object], each: str, joint: str = " AND ") -> CompiledRule | None:
    """SQL's LIKE, for which Great Expectations needs a database."""
    escape = asked.get("escape")
    if escape is not None and (not isinstance(escape, str) or len(escape) != 1):
        raise asked.broken(f"escape is {escape!r}, not one character")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise asked.broken("its like_pattern is not a text")
        if "\\" in pattern and escape is None:
            raise asked.broken(f"say in {pattern!r} what the backslash is: escape: '\\\\', or another character")
    if asked.column.kind != "text":
        return None
    ending = "" if escape is None else f" ESCAPE {asked.sql.literal(escape)}"
    likes = [f"{asked.column.value} LIKE {asked.sql.literal(str(pattern))}{ending}" for pattern in patterns]
    return unless(asked, joint.join(each.format(f"({like})") for like in likes))


def _lengths(asked: Asked) -> CompiledRule:
    low, high = asked.get("min_value"), asked.get("max_value")
    if low is None and high is None:
        raise asked.broken("it needs a min_value or a max_value")
    made = [None if bound is None else _length(asked, bound) for bound in (low, high)]
    in_order(asked.rule, asked.kwargs)
    return unless(asked, bounded(asked, _length_of(asked), *made))


def _length_equals(asked: Asked) -> CompiledRule:
    return unless(asked, f"{_length_of(asked)} = {_length(asked, asked.kwargs['value'])}")


def _length_of(asked: Asked) -> str:
    if asked.column.kind != "text":
        raise asked.broken(f"column {asked.rule.columns[0]!r} is {asked.column.type}, not text")
    return f"length({asked.column.value})"


def _length(asked: Asked, bound: object) -> str:
    if isinstance(bound, bool) or not isinstance(bound, int):
        raise asked.broken(f"{bound!r} is not a whole number")
    return str(bound)


def _unique(asked: Asked) -> CompiledRule:
    there = present([asked.column])
    return CompiledRule(asked.rule, there, there, unique=(asked.column.value,))


def _json(asked: Asked) -> CompiledRule | None:
    return _parsed(asked, "json", "")


def _dateutil(asked: Asked) -> CompiledRule | None:
    return _parsed(asked, "dateutil", "")


def _strftime(asked: Asked) -> CompiledRule | None:
    layout = asked.kwargs["strftime_format"]
    try:
        datetime.strptime(datetime(2000, 1, 1).strftime(layout), layout)  # noqa: DTZ001, DTZ007 - a format is tried
    except (TypeError, ValueError, re.error) as error:
        raise asked.broken(f"{layout!r} is not a format of strftime: {error}") from error
    return _parsed(asked, "strftime", layout)


def _parsed(asked: Asked, how: str, layout: str) -> CompiledRule | None:
    if asked.column.kind != "text":
        return None
    words = f"{asked.sql.literal(how)}, {asked.sql.literal(layout)}"
    return unless(asked, f"{PARSES}({asked.column.value}, {words})")


_BOUNDS = "min_value max_value strict_min strict_max"
_WRITTEN = "all but booleans and timestamps"
COLUMNWISE: Mapping[str, Compiler[CompiledRule]] = {
    "expect_column_values_to_not_be_null": Compiler.of(_not_null, "column"),
    "expect_column_values_to_be_null": Compiler.of(_null, "column"),
    "expect_column_values_to_be_unique": Compiler.of(_unique, "column"),
    "expect_column_values_to_be_between": Compiler.of(_between, "column", _BOUNDS, when="all but booleans"),
    "expect_column_values_to_be_in_set": Compiler.of(_in_set, "column value_set"),
    "expect_column_values_to_not_be_in_set": Compiler.of(_not_in_set, "column value_set"),
    "expect_column_values_to_match_regex": Compiler.of(_matches, "column regex", when=_WRITTEN),
    "expect_column_values_to_not_match_regex": Compiler.of(_not_matches, "column regex", when=_WRITTEN),
    "expect_column_values_to_match_regex_list": Compiler.of(
        _matches_list, "column regex_list", "match_on", when=_WRITTEN
    ),
    "expect_column_values_to_not_match_regex_list": Compiler.of(_not_matches_list, "column regex_list", when=_WRITTEN),
    "expect_column_values_to_match_like_pattern": Compiler.of(_like, "column like_pattern", "escape", when="texts"),
    "expect_column_values_to_not_match_like_pattern": Compiler.of(
        _not_like, "column like_pattern", "escape", when="texts"
    ),
    "expect_column_values_to_match_like_pattern_list": Compiler.of(
        _like_list, "column like_pattern_list", "match_on escape", when="texts"
    ),
    "expect_column_values_to_not_match_like_pattern_list": Compiler.of(
        _not_like_list, "column like_pattern_list", "escape", when="texts"
    ),
    "expect_column_value_lengths_to_be_between": Compiler.of(_lengths, "column", _BOUNDS, when="texts"),
    "expect_column_value_lengths_to_equal": Compiler.of(_length_equals, "column value", when="texts"),
    "expect_column_values_to_be_json_parseable": Compiler.of(_json, "column", when="texts"),
    "expect_column_values_to_be_dateutil_parseable": Compiler.of(_dateutil, "column", when="texts"),
    "expect_column_values_to_match_strftime_format": Compiler.of(_strftime, "column strftime_format", when="texts"),
}
