"""Expectations as SQL, with Great Expectations' own meaning. Pure: rules in, SQL out; what is not compiled is None.

NULLs (and NaN) pass everything but not-null, and count in no share. `mostly` is about the expectation: if at least
that share of the values is good, it holds and no record is set aside for it; else all its bad records are.
All copies of a value that should be unique are bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from sluicegate.checks.bounds import CheckedColumn, broken, with_moments
from sluicegate.checks.columnwise import COLUMNWISE
from sluicegate.checks.compiler import Asked, CompiledRule, CompiledTableRule, Compiler, near
from sluicegate.checks.condition import ELSEWHERE, NotCompiledError, condition_of
from sluicegate.checks.dialect import DUCKDB, SqlDialect
from sluicegate.checks.rule import ABOUT, Rule
from sluicegate.checks.tablewise import TABLEWISE
from sluicegate.checks.together import TOGETHER
from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = ["NEEDS_A_DATABASE", "ROW_LEVEL", "check_rule", "compile_rule", "compile_table_rule", "unknown_arguments"]

ROW_LEVEL: Mapping[str, Compiler[CompiledRule]] = {**COLUMNWISE, **TOGETHER}
_COMPILERS: Mapping[str, Compiler[Any]] = {**ROW_LEVEL, **TABLEWISE}
NEEDS_A_DATABASE = {
    "unexpected_rows_expectation",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
}
"""Expectations that Great Expectations carries out in a database only; there is none before the load."""
_TEXT_ONLY = {"expect_column_value_lengths_to_be_between", "expect_column_value_lengths_to_equal"}


def compile_rule(
    rule: Rule, columns: Mapping[str, CheckedColumn], sql: SqlDialect = DUCKDB, *, native: bool = True
) -> CompiledRule | None:
    """The row-level `rule` as SQL, or None when only Great Expectations can carry it out, or it is about the table.

    :param native: whether the engine's own regular expressions may be used where they mean the same.
    :raises FaultError: CHECK_BROKEN for unknown arguments, a column that does not exist, or bounds of a wrong type.
    """
    compiler = ROW_LEVEL.get(rule.expectation)
    if rule.expectation in NEEDS_A_DATABASE:
        raise broken(rule, "it asks a database, and records are checked before they are in one: use a step of its own")
    if compiler is None:
        return None
    asked = _asked(rule, compiler, columns, sql, native=native)
    try:
        condition = condition_of(asked, columns)
    except NotCompiledError:
        return None
    compiled = compiler.make(asked)
    if compiled is None:
        return None
    compiled = replace(compiled, mostly=_mostly(rule, asked.kwargs))
    if condition is None:
        return compiled
    return replace(
        compiled, fails=f"({condition} AND {compiled.fails})", applies=f"({condition} AND {compiled.applies})"
    )


def compile_table_rule(
    rule: Rule, columns: Mapping[str, CheckedColumn], sql: SqlDialect = DUCKDB
) -> CompiledTableRule | None:
    """The `rule` about the table as SQL, or None when only Great Expectations can carry it out, or it is row-level.

    :raises FaultError: CHECK_BROKEN, as `compile_rule` does.
    """
    compiler = TABLEWISE.get(rule.expectation)
    if compiler is None or any(rule.kwargs.get(key) for key in ELSEWHERE):
        return None
    return compiler.make(_asked(rule, compiler, columns, sql))


def check_rule(rule: Rule, columns: Mapping[str, CheckedColumn]) -> None:
    """Say what is wrong with `rule` whatever the source holds; `columns` are those whose types are known.

    :raises FaultError: CHECK_BROKEN, as `compile_rule` does.
    """
    kind: Literal["text", "other"] = "text" if rule.expectation in _TEXT_ONLY else "other"
    any_column = CheckedColumn("value", "missing", "VARCHAR", kind)
    checked = {name: columns.get(name, any_column) for name in rule.columns}
    if compile_rule(rule, checked) is None and compile_table_rule(rule, checked) is None:
        with_moments(rule, checked)


def unknown_arguments(rule: Rule) -> dict[str, str | None]:
    """The arguments that an expectation of ours does not have, each with the one that was probably meant."""
    compiler = _COMPILERS.get(rule.expectation)
    if compiler is None:
        return {}
    known = _known(rule, compiler)
    return {key: did_you_mean(key, known) for key in _deciding(rule) if key not in known}


def _asked(
    rule: Rule,
    compiler: Compiler[Any],
    columns: Mapping[str, CheckedColumn],
    sql: SqlDialect,
    *,
    native: bool = True,
) -> Asked:
    kwargs = _deciding(rule)
    known = _known(rule, compiler)
    for key in kwargs:
        if key not in known:
            raise broken(rule, f"it has no argument {key!r}{near(key, known)}")
    if missing := sorted(compiler.needed - kwargs.keys()):
        raise broken(rule, f"it needs the argument {missing[0]!r}")
    if compiler.about_columns:
        return Asked(rule, kwargs, (), tuple(columns), sql)
    for name in rule.columns:
        if name not in columns:
            raise broken(rule, f"the source has no column {name!r}{near(name, columns)}")
    if not rule.columns and {"column", "column_list"} & compiler.needed:
        raise broken(rule, "it names no column")
    return Asked(rule, kwargs, [columns[name] for name in rule.columns], tuple(columns), sql, native)


def _deciding(rule: Rule) -> dict[str, Any]:
    """The arguments that say what is asked."""
    return {key: value for key, value in rule.kwargs.items() if key not in ABOUT | ELSEWHERE}


def _known(rule: Rule, compiler: Compiler[Any]) -> frozenset[str]:
    return compiler.known | {"mostly"} if rule.expectation in ROW_LEVEL else compiler.known


def _mostly(rule: Rule, kwargs: Mapping[str, Any]) -> Decimal:
    value = kwargs.get("mostly", 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise broken(rule, f"mostly is {value!r}, not a number from 0 to 1")
    return Decimal(str(value))
