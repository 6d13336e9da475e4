"""Row-level expectations as SQL over DuckDB's stage, with Great Expectations' own meaning.

NULLs (and NaN) pass everything but not-null, and count in no share. `mostly` is about the expectation: if at least
that share of the values is good, it holds and no record is set aside for it; else all its bad records are.
All copies of a value that should be unique are bad. Pure: rules in, SQL out; what is not compiled is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from sluicegate.checks.bounds import CheckedColumn, broken, constant, with_moments
from sluicegate.checks.rule import Rule
from sluicegate.checks.sql import literal
from sluicegate.pipeline.diagnostics import did_you_mean, hint

__all__ = ["SEARCH", "CompiledRule", "check_rule", "compile_rule", "search", "unknown_arguments"]

_ABOUT = {"meta", "notes", "description", "severity", "id", "rendered_content", "result_format", "catch_exceptions"}
"""Arguments that say nothing about which records are bad."""
_ELSEWHERE = {"row_condition", "condition_parser", "windows", "batch_id"}
"""Arguments that only Great Expectations itself understands; those without a value do not count."""

SEARCH = "sluicegate_search"
"""The SQL function that `search` has to be registered as."""
_READ_OTHERWISE = ("{,", "[:")
"""What RE2 takes, and takes for something else than Python does."""


@dataclass(frozen=True)
class CompiledRule:
    """`fails` is true or false for a record, never NULL; `applies` says whether the record counts in `mostly`.

    A rule over all records has `unique` instead: the values that may occur together only once, and `fails` then
    says which records are in it at all. `constants` are texts that must cast to a DuckDB type for the rule to
    make sense. `pattern` is a regular expression of which only DuckDB can say whether its RE2 knows it; one that
    it does not know (a lookahead, a backreference) is for Great Expectations.
    """

    rule: Rule
    fails: str
    applies: str
    mostly: Decimal = Decimal(1)
    unique: tuple[str, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    pattern: str | None = None


def compile_rule(rule: Rule, columns: Mapping[str, CheckedColumn]) -> CompiledRule | None:
    """`rule` as SQL, or None when only Great Expectations can carry it out.

    :raises FaultError: CHECK_BROKEN for unknown arguments, a column that does not exist, or bounds of a wrong type.
    """
    kwargs = _arguments(rule)
    if kwargs is None:
        return None
    compiler, known, needed = _COMPILERS[rule.expectation]
    for key in unknown_arguments(rule):
        raise broken(rule, f"it has no argument {key!r}{_near(key, known | {'mostly'})}")
    if missing := sorted(needed - kwargs.keys()):
        raise broken(rule, f"it needs the argument {missing[0]!r}")
    for name in rule.columns:
        if name not in columns:
            raise broken(rule, f"the source has no column {name!r}{_near(name, columns)}")
    if not rule.columns:
        raise broken(rule, "it names no column")
    compiled = compiler(rule, kwargs, [columns[name] for name in rule.columns])
    return replace(compiled, mostly=_mostly(rule, kwargs))


def check_rule(rule: Rule, columns: Mapping[str, CheckedColumn]) -> None:
    """Say what is wrong with `rule` whatever the source holds; `columns` are those whose types are known.

    :raises FaultError: CHECK_BROKEN, as `compile_rule` does.
    """
    kind: Literal["text", "other"] = "text" if rule.expectation in _TEXT_ONLY else "other"
    any_column = CheckedColumn("value", "missing", "VARCHAR", kind)
    checked = {name: columns.get(name, any_column) for name in rule.columns}
    if compile_rule(rule, checked) is None:
        with_moments(rule, checked)


def unknown_arguments(rule: Rule) -> dict[str, str | None]:
    """The arguments that an expectation of ours does not have, each with the one that was probably meant."""
    kwargs = _arguments(rule)
    if kwargs is None:
        return {}
    known = _COMPILERS[rule.expectation][1] | {"mostly"}
    return {key: did_you_mean(key, known) for key in kwargs if key not in known}


def _arguments(rule: Rule) -> dict[str, Any] | None:
    """The arguments that decide, or None when only Great Expectations can judge them."""
    if rule.expectation not in _COMPILERS:
        return None
    if any(rule.kwargs.get(key) for key in _ELSEWHERE):
        return None
    return {key: value for key, value in rule.kwargs.items() if key not in _ABOUT | _ELSEWHERE}


def _not_null(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    return CompiledRule(rule, columns[0].missing, "true")


def _null(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    return CompiledRule(rule, f"NOT {columns[0].missing}", "true")


def _between(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    column = columns[0]
    bounds = [constant(rule, column, kwargs.get(key)) for key in ("min_value", "max_value")]
    low, high = bounds
    if low is None and high is None:
        raise broken(rule, "it needs a min_value or a max_value")
    _in_order(rule, with_moments(rule, {rule.columns[0]: column}).kwargs)
    parts: list[str] = []
    if low is not None:
        parts.append(f"{column.value} {'>' if kwargs.get('strict_min') else '>='} {low[0]}")
    if high is not None:
        parts.append(f"{column.value} {'<' if kwargs.get('strict_max') else '<='} {high[0]}")
    constants = tuple(bound[1] for bound in bounds if bound is not None and bound[1] is not None)
    return _unless(rule, column, " AND ".join(parts), constants)


def _in_set(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    condition, constants = _membership(rule, kwargs, columns[0])
    return _unless(rule, columns[0], condition, constants)


def _not_in_set(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    condition, constants = _membership(rule, kwargs, columns[0])
    return _unless(rule, columns[0], f"NOT ({condition})", constants)


def _membership(
    rule: Rule, kwargs: Mapping[str, Any], column: CheckedColumn
) -> tuple[str, tuple[tuple[str, str], ...]]:
    values = kwargs["value_set"]
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise broken(rule, "its value_set is not a list")
    found = [constant(rule, column, value) for value in values if value is not None]
    texts = [each[0] for each in found if each is not None]
    constants = tuple(each[1] for each in found if each is not None and each[1] is not None)
    nothing = f"CASE WHEN {column.value} IS NOT NULL THEN false END"
    return (f"{column.value} IN ({', '.join(texts)})" if texts else nothing), constants


def _matches(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    compiled = _unless(rule, columns[0], _pattern(rule, kwargs, columns[0]))
    return replace(compiled, pattern=kwargs["regex"])


def _not_matches(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    compiled = _unless(rule, columns[0], f"NOT {_pattern(rule, kwargs, columns[0])}")
    return replace(compiled, pattern=kwargs["regex"])


def _pattern(rule: Rule, kwargs: Mapping[str, Any], column: CheckedColumn) -> str:
    pattern = kwargs["regex"]
    if not isinstance(pattern, str):
        raise broken(rule, "its regex is not a text")
    try:
        re.compile(pattern)
    except re.error as error:
        raise broken(rule, f"{pattern!r} is not a regular expression: {error}") from error
    text, quoted = f"CAST({column.value} AS VARCHAR)", literal(pattern)
    theirs = f"{SEARCH}({text}, {quoted})"
    if any(odd in pattern for odd in _READ_OTHERWISE):
        return theirs
    # Of letters beyond ASCII and of line ends, RE2 says other things than Python (\w, \d, \s, $, (?i)).
    ours = f"regexp_matches({text}, {quoted})"
    return f"CASE WHEN regexp_full_match({text}, '[ -~]*') THEN {ours} ELSE {theirs} END"


def search(text: str, pattern: str) -> bool:
    """Python's own `re.search`, which is what a regular expression means to Great Expectations. `SEARCH` in SQL."""
    return re.search(pattern, text) is not None


def _lengths(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    column = columns[0]
    if column.kind != "text":
        raise broken(rule, f"column {rule.columns[0]!r} is {column.type}, not text")
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        raise broken(rule, "it needs a min_value or a max_value")
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int)):
            raise broken(rule, f"{bound!r} is not a whole number")
    _in_order(rule, kwargs)
    parts: list[str] = []
    if low is not None:
        parts.append(f"length({column.value}) {'>' if kwargs.get('strict_min') else '>='} {low}")
    if high is not None:
        parts.append(f"length({column.value}) {'<' if kwargs.get('strict_max') else '<='} {high}")
    return _unless(rule, column, " AND ".join(parts))


def _unique(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    present = f"{columns[0].value} IS NOT NULL"
    return CompiledRule(rule, present, present, unique=(columns[0].value,))


def _compound_unique(rule: Rule, kwargs: Mapping[str, Any], columns: Sequence[CheckedColumn]) -> CompiledRule:
    ways = {"all_values_are_missing": " OR ", "any_value_is_missing": " AND ", "never": None}
    way = kwargs.get("ignore_row_if", "all_values_are_missing")
    if way not in ways:
        raise broken(rule, f"ignore_row_if cannot be {way!r}{_near(str(way), ways)}")
    joint = ways[way]
    present = "true" if joint is None else joint.join(f"{column.value} IS NOT NULL" for column in columns)
    return CompiledRule(rule, f"({present})", f"({present})", unique=tuple(column.value for column in columns))


_Compiler = Callable[[Rule, Mapping[str, Any], Sequence[CheckedColumn]], CompiledRule]
_BOUNDS = {"column", "min_value", "max_value", "strict_min", "strict_max"}
_COMPILERS: Mapping[str, tuple[_Compiler, set[str], set[str]]] = {
    "expect_column_values_to_not_be_null": (_not_null, {"column"}, {"column"}),
    "expect_column_values_to_be_null": (_null, {"column"}, {"column"}),
    "expect_column_values_to_be_between": (_between, _BOUNDS, {"column"}),
    "expect_column_values_to_be_in_set": (_in_set, {"column", "value_set"}, {"column", "value_set"}),
    "expect_column_values_to_not_be_in_set": (_not_in_set, {"column", "value_set"}, {"column", "value_set"}),
    "expect_column_values_to_match_regex": (_matches, {"column", "regex"}, {"column", "regex"}),
    "expect_column_values_to_not_match_regex": (_not_matches, {"column", "regex"}, {"column", "regex"}),
    "expect_column_value_lengths_to_be_between": (_lengths, _BOUNDS, {"column"}),
    "expect_column_values_to_be_unique": (_unique, {"column"}, {"column"}),
    "expect_compound_columns_to_be_unique": (_compound_unique, {"column_list", "ignore_row_if"}, {"column_list"}),
}
_TEXT_ONLY = {"expect_column_value_lengths_to_be_between"}


def _unless(
    rule: Rule, column: CheckedColumn, condition: str, constants: tuple[tuple[str, str], ...] = ()
) -> CompiledRule:
    present = f"{column.value} IS NOT NULL"
    return CompiledRule(rule, f"NOT coalesce({condition}, true)", present, constants=constants)


def _in_order(rule: Rule, kwargs: Mapping[str, Any]) -> None:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    try:
        swapped = low is not None and high is not None and low > high
    except TypeError as error:
        raise broken(rule, f"its bounds {low!r} and {high!r} cannot be compared") from error
    if swapped:
        low, high = rule.kwargs["min_value"], rule.kwargs["max_value"]
        raise broken(rule, f"its lower bound {low!r} is above its upper bound {high!r}")


def _mostly(rule: Rule, kwargs: Mapping[str, Any]) -> Decimal:
    value = kwargs.get("mostly", 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise broken(rule, f"mostly is {value!r}, not a number from 0 to 1")
    return Decimal(str(value))


def _near(name: str, known: Any) -> str:
    return hint(name, known) or f" (there is {', '.join(sorted(known))})"
