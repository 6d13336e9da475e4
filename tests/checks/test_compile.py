"""What is compiled and what is not, what is refused, and how Great Expectations carries out the rest."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import compile_rule, compile_table_rule
from sluicegate.checks.expectations import ExpectationRunner
from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError


@pytest.fixture(scope="module")
def runner() -> ExpectationRunner:
    return ExpectationRunner()


def column(kind: str = "BIGINT", sort: Any = "number") -> CheckedColumn:
    return CheckedColumn("v", "m", kind, sort)


@pytest.mark.parametrize(
    ("expectation", "kwargs", "message"),
    [
        (
            "expect_column_values_to_be_between",
            {"column": "a", "min_value": 5, "max_value": 1},
            "above its upper bound",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "a", "min": 5},
            "no argument 'min'; did you mean 'min_value'",
        ),
        ("expect_column_values_to_be_between", {"column": "a"}, "needs a min_value or a max_value"),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": "5"}, "is not a number"),
        ("expect_column_values_to_be_between", {"column": "s", "min_value": 5}, "give it a type in columns:"),
        ("expect_column_values_to_not_be_null", {"column": "aa"}, "no column 'aa'; did you mean 'a'?"),
        ("expect_column_values_to_not_be_null", {}, "needs the argument 'column'"),
        ("expect_column_values_to_match_regex", {"column": "s", "regex": "("}, "not a regular expression"),
        ("expect_column_values_to_be_in_set", {"column": "s", "value_set": "abc"}, "not a list"),
        ("expect_column_values_to_be_unique", {"column": "s", "mostly": 2}, "mostly is 2"),
        ("expect_column_values_to_match_regex_list", {"column": "s", "regex_list": []}, "not a list of patterns"),
        ("expect_column_values_to_match_strftime_format", {"column": "s", "strftime_format": "%Q"}, "not a format"),
        ("expect_multicolumn_sum_to_equal", {"column_list": ["a", "a"], "sum_total": "1"}, "not a number"),
        (
            "expect_column_pair_values_to_be_equal",
            {"column_A": "a", "column_B": "a", "ignore_row_if": "both"},
            "ignore_row_if cannot be 'both'",
        ),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": float("nan")}, "is not a number"),
    ],
)
def test_a_rule_that_makes_no_sense_is_broken_and_says_why(
    expectation: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(FaultError, match="CHECK_BROKEN") as broken:
        compile_rule(Rule(expectation, kwargs), {"a": column(), "s": column("VARCHAR", "text")})
    assert message in broken.value.detail


def test_what_only_great_expectations_understands_is_left_to_it() -> None:
    some = {"a": column()}
    assert compile_rule(Rule("expect_column_values_to_be_increasing", {"column": "a"}), some) is None
    for said in ("a.abs() > 1", "a > b", "a > 1 or a < 0", "a == 'x'", "nope > 1"):
        condition = {"column": "a", "row_condition": said, "condition_parser": "pandas"}
        assert compile_rule(Rule("expect_column_values_to_not_be_null", condition), some) is None
    pair = {"column_A": "a", "column_B": "s"}
    mixed = {"a": column(), "s": column("VARCHAR", "text")}
    assert compile_rule(Rule("expect_column_pair_values_to_be_equal", pair), mixed) is None
    assert compile_table_rule(Rule("expect_column_max_to_be_between", {"column": "s", "max_value": 1}), mixed) is None


def test_an_unknown_expectation_or_argument_is_broken_and_not_skipped(runner: ExpectationRunner) -> None:
    for rule, hint in (
        (
            Rule("expect_column_values_to_be_increasin", {"column": "n"}),
            "did you mean 'expect_column_values_to_be_increasing'",
        ),
        (Rule("expect_column_values_to_be_increasing", {"colum": "n"}), "did you mean 'column'"),
        (Rule("expect_column_mean_to_be_between", {"column": "n", "min_value": "x"}), "min_value"),
    ):
        with pytest.raises(FaultError, match="CHECK_BROKEN") as broken:
            runner.is_row_level(rule)
        assert hint in broken.value.detail


def test_row_level_rules_go_in_batches_without_losing_a_record(runner: ExpectationRunner) -> None:
    frame = pd.DataFrame({"s": ["2024-01-01", "x", None, "y"] * 10})
    batches = [frame.iloc[start : start + 7].reset_index(drop=True) for start in range(0, 40, 7)]
    rule = Rule("expect_column_values_to_match_strftime_format", {"column": "s", "strftime_format": "%Y-%m-%d"})
    expected = tuple(n for n in range(40) if n % 4 in (1, 3))
    assert runner.rows(rule, lambda size: batches).positions == expected
    tolerant = Rule(rule.expectation, {**rule.kwargs, "mostly": 0.3})
    assert runner.rows(tolerant, lambda size: batches).positions == (), "the share is of all records, not of a batch"


def test_a_rule_about_the_table_says_what_was_seen(runner: ExpectationRunner) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3]})
    rule = Rule("expect_column_mean_to_be_between", {"column": "n", "min_value": 5, "max_value": 9})
    assert not runner.is_row_level(rule)
    verdict = runner.table(rule, frame)
    assert (verdict.success, verdict.observed) == (False, "2.0")


def test_every_expectation_that_great_expectations_exports_is_known_by_its_own_name(runner: ExpectationRunner) -> None:
    from sluicegate.pipeline.read.expectations import known_expectations

    kl = {"column": "n", "partition_object": {"values": [1], "weights": [1]}, "threshold": 1}
    assert not runner.is_row_level(Rule("expect_column_kl_divergence_to_be_less_than", kl))
    assert {name for name in runner._classes if "multicolumn_values_to_be_unique" not in name} == {
        name for name in known_expectations() if name != "expect_multicolumn_values_to_be_unique"
    }


def test_an_expectation_that_asks_a_database_is_refused() -> None:
    with pytest.raises(FaultError, match="it asks a database"):
        compile_rule(Rule("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT 1"}), {})


def test_an_expectation_that_cannot_be_computed_is_broken(runner: ExpectationRunner) -> None:
    rule = Rule("expect_column_mean_to_be_between", {"column": "nope", "min_value": 5})
    with pytest.raises(FaultError, match="CHECK_BROKEN"):
        runner.table(rule, pd.DataFrame({"n": [1]}))
