"""Expectations about several columns of one record. Columns of different kinds are left to Great Expectations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from sluicegate.checks.compiler import Asked, CompiledRule, Compiler, near, present

__all__ = ["TOGETHER"]

_PAIR = {"both_values_are_missing": " OR ", "either_value_is_missing": " AND ", "neither": None}
_SEVERAL = {"all_values_are_missing": " OR ", "any_value_is_missing": " AND ", "never": None}
"""By what `ignore_row_if` says, how the conditions that a column has a value are joined for a record to count."""
_MOST = 20
"""Columns that are compared each with each."""


def _greater(asked: Asked) -> CompiledRule | None:
    first, second = asked.columns
    if not _alike(asked) or first.kind not in {"number", "text", "moment"}:
        return None
    return _rule(asked, f"{first.value} {'>=' if asked.get('or_equal') else '>'} {second.value}", _PAIR)


def _equal(asked: Asked) -> CompiledRule | None:
    first, second = asked.columns
    return _rule(asked, f"{first.value} = {second.value}", _PAIR) if _alike(asked) else None


def _in_pairs(asked: Asked) -> CompiledRule | None:
    pairs = asked.kwargs["value_pairs_set"]
    if not isinstance(pairs, (list, tuple, set)) or any(
        not isinstance(pair, (list, tuple)) or len(pair) != len(asked.columns) for pair in pairs
    ):
        raise asked.broken("its value_pairs_set is not a list of pairs")
    wanted: list[str] = []
    constants: list[tuple[str, str]] = []
    for pair in pairs:
        both: list[str] = []
        for value, column in zip(pair, asked.columns, strict=True):
            made = asked.constant(value, column)
            both.append(f"{column.value} IS NULL" if made is None else f"{column.value} = {made[0]}")
            constants += [made[1]] if made is not None and made[1] is not None else []
        wanted.append(f"({' AND '.join(both)})")
    return _rule(asked, " OR ".join(wanted) or "false", _PAIR, constants=tuple(constants))


def _sum(asked: Asked) -> CompiledRule | None:
    total = asked.kwargs["sum_total"]
    if any(column.kind != "number" for column in asked.columns) or isinstance(total, bool):
        return None
    if not isinstance(total, (int, float)):
        raise asked.broken(f"sum_total is {total!r}, not a number")
    types = {column.type for column in asked.columns}
    if types <= {"SMALLINT", "INTEGER", "BIGINT"}:
        to, whole = asked.sql.whole, isinstance(total, int) or total.is_integer()
        if not whole or abs(total) >= 10**37:
            return _rule(asked, "false", _SEVERAL)
        wanted = asked.sql.constant(str(int(total)), "DECIMAL(38,0)")
    elif types == {"DOUBLE"}:
        to, wanted = "DOUBLE", asked.sql.constant(repr(float(total)), "DOUBLE")
    else:
        return None
    values = " + ".join(f"CAST({column.value} AS {to})" for column in asked.columns)
    return _rule(asked, f"({values}) = {wanted}", _SEVERAL)


def _unique_within(asked: Asked) -> CompiledRule | None:
    if not _alike(asked) or len(asked.columns) > _MOST:
        return None
    pairs = [f"{a.value} IS NOT DISTINCT FROM {b.value}" for a, b in combinations(asked.columns, 2)]
    return _rule(asked, f"NOT ({' OR '.join(pairs)})" if pairs else "true", _SEVERAL)


def _all_equal(asked: Asked) -> CompiledRule | None:
    if not _alike(asked):
        return None
    first, *others = asked.columns
    same = [f"{first.value} IS NOT DISTINCT FROM {other.value}" for other in others]
    return _rule(asked, " AND ".join(same) or "true", _SEVERAL)


def _compound_unique(asked: Asked) -> CompiledRule:
    counts = _counts(asked, _SEVERAL)
    return CompiledRule(asked.rule, counts, counts, unique=tuple(column.value for column in asked.columns))


def _alike(asked: Asked) -> bool:
    """Whether the columns can be compared by what they say: numbers, or one and the same type."""
    kinds = {(column.type if column.kind != "number" else "", column.kind) for column in asked.columns}
    return len(kinds) == 1 and all(kind != "other" for _, kind in kinds)


def _rule(
    asked: Asked, condition: str, ways: Mapping[str, str | None], constants: tuple[tuple[str, str], ...] = ()
) -> CompiledRule:
    """A record that counts is bad unless `condition` is true: half a pair is bad, as Great Expectations has it."""
    counts = _counts(asked, ways)
    fails = f"({counts} AND NOT coalesce({condition}, false))"
    return CompiledRule(asked.rule, fails, counts, constants=constants)


def _counts(asked: Asked, ways: Mapping[str, str | None]) -> str:
    way = asked.kwargs.get("ignore_row_if", next(iter(ways)))
    if way not in ways:
        raise asked.broken(f"ignore_row_if cannot be {way!r}{near(str(way), ways)}")
    joint = ways[way]
    return "true" if joint is None else present(asked.columns, joint)


_ALIKE = "numbers, or one type"
_COLUMNS = "column_A column_B"
TOGETHER: Mapping[str, Compiler[CompiledRule]] = {
    "expect_compound_columns_to_be_unique": Compiler.of(_compound_unique, "column_list", "ignore_row_if"),
    "expect_column_pair_values_a_to_be_greater_than_b": Compiler.of(
        _greater, _COLUMNS, "or_equal ignore_row_if", when=_ALIKE
    ),
    "expect_column_pair_values_to_be_equal": Compiler.of(_equal, _COLUMNS, "ignore_row_if", when=_ALIKE),
    "expect_column_pair_values_to_be_in_set": Compiler.of(_in_pairs, f"{_COLUMNS} value_pairs_set", "ignore_row_if"),
    "expect_select_column_values_to_be_unique_within_record": Compiler.of(
        _unique_within, "column_list", "ignore_row_if", when=_ALIKE
    ),
    "expect_multicolumn_values_to_be_equal": Compiler.of(_all_equal, "column_list", "ignore_row_if", when=_ALIKE),
    "expect_multicolumn_sum_to_equal": Compiler.of(
        _sum, "column_list sum_total", "ignore_row_if", when="whole numbers, or doubles"
    ),
}
