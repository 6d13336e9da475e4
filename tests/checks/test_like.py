"""LIKE, for which Great Expectations needs a database: held against what the SQL standard says of it."""

from __future__ import annotations

import re
from functools import cache

import duckdb
import pytest

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import compile_rule
from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError

TEXTS = ["", "a", "ab", "aXb", "a%b", "a_b", "A", "ä", "a\nb", "a\\b", "'", None]
COLUMNS = {"s": CheckedColumn("s", "s IS NULL", "VARCHAR", "text")}


def like(text: str, pattern: str, escape: str | None) -> bool:
    """The standard's meaning: `%` any characters, `_` one, the escape makes the next one itself."""
    parts, rest = [], iter(pattern)
    for letter in rest:
        if letter == escape:
            parts.append(re.escape(next(rest)))
        else:
            parts.append({"%": ".*", "_": "."}.get(letter, re.escape(letter)))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


@pytest.mark.parametrize("escape", [None, "!", "\\"])
@pytest.mark.parametrize("pattern", ["", "%", "a%", "%b", "a_b", "_", "a!%b", "a!_b", "'", "a%b%"])
def test_like_is_the_standards(pattern: str, escape: str | None) -> None:
    pattern = pattern.replace("!", escape or "!")
    for name, expected in (("match", True), ("not_match", False)):
        kwargs = {"column": "s", "like_pattern": pattern, "escape": escape}
        bad = failing(f"expect_column_values_to_{name}_like_pattern", kwargs)
        assert bad == [text for text in TEXTS if text is not None and like(text, pattern, escape) != expected]


def test_several_patterns_are_met_by_any_by_all_or_by_none() -> None:
    some = {"column": "s", "like_pattern_list": ["a%", "%b"]}
    assert "a" not in failing("expect_column_values_to_match_like_pattern_list", some)
    assert "a" in failing("expect_column_values_to_match_like_pattern_list", {**some, "match_on": "all"})
    assert failing("expect_column_values_to_not_match_like_pattern_list", some) == [
        "a", "ab", "aXb", "a%b", "a_b", "a\nb", "a\\b",
    ]  # fmt: skip


def test_a_backslash_without_an_escape_is_refused_because_databases_disagree() -> None:
    with pytest.raises(FaultError, match=r"say in 'a.*b' what the backslash is"):
        failing("expect_column_values_to_match_like_pattern", {"column": "s", "like_pattern": "a\\b"})


def failing(expectation: str, kwargs: dict[str, object]) -> list[str]:
    compiled = compile_rule(Rule(expectation, kwargs), COLUMNS)
    assert compiled is not None
    return [row[0] for row in texts().execute(f"SELECT s FROM t WHERE {compiled.fails}").fetchall()]


@cache
def texts() -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect()
    duck.execute("CREATE TABLE t (s VARCHAR)")
    duck.execute("INSERT INTO t SELECT unnest($1::VARCHAR[])", [TEXTS])
    return duck
