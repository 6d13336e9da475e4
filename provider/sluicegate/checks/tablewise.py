"""Expectations about the whole table, as one aggregate for what is seen and one for whether it holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sluicegate.checks.bounds import with_moments
from sluicegate.checks.columnwise import membership
from sluicegate.checks.compiler import Asked, CompiledTableRule, Compiler, bounded, in_order

__all__ = ["TABLEWISE"]

_ADDABLE = {"SMALLINT", "INTEGER", "BIGINT", "DOUBLE"}


def _extreme(asked: Asked, *, of: str) -> CompiledTableRule | None:
    """The largest or smallest value: compared as the column's type has it."""
    if asked.column.kind not in {"number", "moment"}:
        return None
    low, high = (asked.constant(asked.get(key)) for key in ("min_value", "max_value"))
    in_order(asked.rule, with_moments(asked.rule, {asked.rule.columns[0]: asked.column}).kwargs)
    seen = f"{of}({asked.column.value})"
    holds = bounded(asked, seen, low and low[0], high and high[0])
    constants = tuple(bound[1] for bound in (low, high) if bound is not None and bound[1] is not None)
    return CompiledTableRule(asked.rule, seen, f"({seen} IS NOT NULL AND {holds})", constants)


def _statistic(asked: Asked, *, of: str) -> CompiledTableRule | None:
    """A sum, a mean and the like of numbers, as a double."""
    if asked.column.type not in _ADDABLE:
        return None
    value = asked.column.value
    double = f"CAST({value} AS DOUBLE)"
    seen = f"coalesce(sum({double}), 0)" if of == "sum" else f"{of}({double})"
    if of == "sum" and asked.column.type != "DOUBLE":
        seen = f"CAST(coalesce(sum(CAST({value} AS {asked.sql.whole})), 0) AS DOUBLE)"
    infinite = asked.sql.constant("Infinity", "DOUBLE")
    # Squares that are too large make an infinite deviation, which Spark does not distinguish from that of infinities.
    large = (
        f" WHEN max(abs({double})) < {infinite} AND count({double}) > 1 THEN {infinite}" if of == "stddev_samp" else ""
    )
    return _measured(asked, f"CASE WHEN NOT isnan({seen}) THEN {seen}{large} END")


def _count(asked: Asked) -> CompiledTableRule:
    return _measured(asked, "count(*)")


def _distinct_count(asked: Asked) -> CompiledTableRule:
    return _measured(asked, f"count(DISTINCT {asked.column.value})")


def _distinct_share(asked: Asked) -> CompiledTableRule:
    value = asked.column.value
    share = f"count(DISTINCT {value}) / CAST(count({value}) AS DOUBLE)"
    return _measured(asked, f"CASE WHEN count({value}) > 0 THEN {share} ELSE 0 END")


def _present_share(asked: Asked) -> CompiledTableRule:
    there = f"count(CASE WHEN {asked.column.missing} THEN NULL ELSE 1 END)"
    return _measured(asked, f"CASE WHEN count(*) > 0 THEN {there} / CAST(count(*) AS DOUBLE) ELSE 0 END")


def _measured(asked: Asked, seen: str) -> CompiledTableRule:
    low, high = (_number(asked, key) for key in ("min_value", "max_value"))
    in_order(asked.rule, asked.kwargs)
    holds = bounded(asked, seen, low, high)
    return CompiledTableRule(asked.rule, seen, f"coalesce({seen} IS NOT NULL AND {holds}, false)")


def _number(asked: Asked, key: str) -> str | None:
    value = asked.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise asked.broken(f"its {key} is {value!r}, not a number")
    return asked.sql.constant(repr(value), "DOUBLE")


def _rows_equal(asked: Asked) -> CompiledTableRule:
    value = asked.kwargs["value"]
    if isinstance(value, bool) or not isinstance(value, int):
        raise asked.broken(f"its value is {value!r}, not a whole number")
    return CompiledTableRule(asked.rule, "count(*)", f"count(*) = {value}")


def _columns_between(asked: Asked) -> CompiledTableRule:
    return _measured(asked, f"CASE WHEN count(*) >= 0 THEN {len(asked.names)} END")


def _columns_equal(asked: Asked) -> CompiledTableRule:
    return _settled(asked, str(len(asked.names)), len(asked.names) == asked.kwargs["value"])


def _columns_in_order(asked: Asked) -> CompiledTableRule | None:
    wanted = asked.kwargs["column_list"]
    if not isinstance(wanted, (list, tuple)):
        raise asked.broken("its column_list is not a list")
    return _settled(asked, repr(list(asked.names)), list(asked.names) == list(wanted))


def _columns_set(asked: Asked) -> CompiledTableRule | None:
    wanted = asked.kwargs["column_set"]
    if not isinstance(wanted, (list, tuple, set)):
        raise asked.broken("its column_set is not a list")
    exact = asked.kwargs.get("exact_match", True)
    there = set(asked.names)
    holds = there == set(wanted) if exact or exact is None else set(wanted) <= there
    return _settled(asked, repr(sorted(there)), holds)


def _column_exists(asked: Asked) -> CompiledTableRule:
    name, index = asked.kwargs["column"], asked.get("column_index")
    names = list(asked.names)
    holds = name in names[index : index + 1] if index else name in names
    return _settled(asked, repr(names), holds)


def _settled(asked: Asked, seen: str, holds: bool) -> CompiledTableRule:
    """What no record decides."""
    observed = f"CASE WHEN count(*) >= 0 THEN {asked.sql.literal(seen)} END"
    return CompiledTableRule(asked.rule, observed, f"(count(*) >= 0 AND {str(holds).lower()})")


def _distinct(asked: Asked, *, only: bool, every: bool) -> CompiledTableRule | None:
    """Whether the column has values of the set only, and whether it has every one of them."""
    if not asked.kwargs["value_set"] or asked.column.kind not in {"number", "text", "moment"}:
        return None
    condition, constants = membership(asked)
    value = asked.column.value
    others = f"count(DISTINCT CASE WHEN NOT ({condition}) THEN {value} END)"
    parts = [f"{others} = 0"] if only else []
    if every:
        made = [one for each in asked.kwargs["value_set"] if (one := asked.constant(each)) is not None]
        parts += [f"coalesce(bool_or({value} = {one[0]}), false)" for one in made]
    return CompiledTableRule(asked.rule, f"count(DISTINCT {value})", " AND ".join(parts) or "true", constants)


_BOUNDS = "min_value max_value strict_min strict_max"
_LISTED = "all but booleans and other types"
_of = Compiler[CompiledTableRule].of
TABLEWISE: Mapping[str, Compiler[CompiledTableRule]] = {
    "expect_table_row_count_to_be_between": _of(_count, "", _BOUNDS),
    "expect_table_row_count_to_equal": _of(_rows_equal, "value"),
    "expect_table_column_count_to_be_between": _of(_columns_between, "", "min_value max_value"),
    "expect_table_column_count_to_equal": _of(_columns_equal, "value"),
    "expect_table_columns_to_match_ordered_list": _of(_columns_in_order, "column_list", about_columns=True),
    "expect_table_columns_to_match_set": _of(_columns_set, "column_set", "exact_match"),
    "expect_column_to_exist": _of(_column_exists, "column", "column_index", about_columns=True),
    "expect_column_max_to_be_between": _of(
        partial(_extreme, of="max"), "column", _BOUNDS, when="numbers, dates, timestamps"
    ),
    "expect_column_min_to_be_between": _of(
        partial(_extreme, of="min"), "column", _BOUNDS, when="numbers, dates, timestamps"
    ),
    "expect_column_sum_to_be_between": _of(
        partial(_statistic, of="sum"), "column", _BOUNDS, when="whole numbers, doubles"
    ),
    "expect_column_mean_to_be_between": _of(
        partial(_statistic, of="avg"), "column", _BOUNDS, when="whole numbers, doubles"
    ),
    "expect_column_median_to_be_between": _of(
        partial(_statistic, of="median"), "column", _BOUNDS, when="whole numbers, doubles"
    ),
    "expect_column_stdev_to_be_between": _of(
        partial(_statistic, of="stddev_samp"), "column", _BOUNDS, when="whole numbers, doubles"
    ),
    "expect_column_unique_value_count_to_be_between": _of(_distinct_count, "column", _BOUNDS),
    "expect_column_proportion_of_unique_values_to_be_between": _of(_distinct_share, "column", _BOUNDS),
    "expect_column_proportion_of_non_null_values_to_be_between": _of(_present_share, "column", _BOUNDS),
    "expect_column_distinct_values_to_be_in_set": _of(
        partial(_distinct, only=True, every=False), "column value_set", when=_LISTED
    ),
    "expect_column_distinct_values_to_contain_set": _of(
        partial(_distinct, only=False, every=True), "column value_set", when=_LISTED
    ),
    "expect_column_distinct_values_to_equal_set": _of(
        partial(_distinct, only=True, every=True), "column value_set", when=_LISTED
    ),
}
