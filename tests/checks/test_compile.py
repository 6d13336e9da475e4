"""Compiled rules say of every record what Great Expectations says of it."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import compile_rule
from sluicegate.checks.expectations import ExpectationRunner
from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError
from sluicegate.load.stage import Stage
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.notation import PLAIN
from sluicegate.records.reader import LocalPart
from sluicegate.records.types import parse_type
from sluicegate.targets.postgres.dialect import PostgresDialect

KINDS = {"n": "bigint", "x": "double", "s": "text", "d": "timestamp", "k": "text"}
INTEGERS = st.integers(-5, 5)
FLOATS = st.sampled_from([-1.5, -0.0, 0.0, 0.5, 1.5, 1e300])
TEXTS = st.sampled_from(["", "a", "A", "ab", "abc", "AB1", "ä", "a\nb", "ab\n", " ", "1", "Ⅷ", "٣"])
DAYS = st.integers(1, 6).map(lambda day: dt.datetime(2024, 1, day))  # noqa: DTZ001 - a timestamp has none
PATTERNS = st.sampled_from(
    [
        "^[A-Z0-9]{2}$",
        "a",
        "^$",
        "b$",
        r"^\w+$",
        r"\d",
        "^.*b",
        "(?i)^AB",
        r"^[^a]*$",
        r"\s",
        "a|1$",
        r"b\b",
        "[[:a]",
    ]
)
MOSTLY = st.sampled_from([None, 0, 0.25, 0.5, 0.9, 1])


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    size = draw(st.integers(1, 8))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(st.none() | values, min_size=size, max_size=size))

    # As the stage hands them to Great Expectations: integers with NULLs are doubles there.
    return pd.DataFrame(
        {
            "n": pd.array(column(INTEGERS), dtype="Float64").to_numpy("float64", na_value=float("nan")),
            "x": pd.array(column(FLOATS), dtype="Float64").to_numpy("float64", na_value=float("nan")),
            "s": pd.Series(column(TEXTS), dtype="str"),
            "d": pd.to_datetime(pd.Series(column(DAYS))),
            "k": pd.Series(column(TEXTS), dtype="str"),
        }
    )


def bounds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(st.none() | values, st.none() | values, st.booleans(), st.booleans()).filter(
        lambda b: (b[0] is not None or b[1] is not None) and (b[0] is None or b[1] is None or b[0] <= b[1])
    ).map(lambda b: {"min_value": b[0], "max_value": b[1], "strict_min": b[2], "strict_max": b[3]})  # fmt: skip


def on(column: str, name: str, words: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Rule]:
    return words.map(lambda kwargs: Rule(name, {"column": column, **kwargs}))


NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
COMPOUND = st.fixed_dictionaries(
    {"column_list": st.sampled_from([["n", "s"], ["s", "k"], ["n", "x", "s"]])},
    optional={"ignore_row_if": st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])},
)
RULES = st.one_of(
    *(on(c, "expect_column_values_to_not_be_null", NOTHING) for c in "nxsd"),
    *(on(c, "expect_column_values_to_be_null", NOTHING) for c in "nxsd"),
    *(on(c, "expect_column_values_to_be_unique", NOTHING) for c in "nxsd"),
    on("n", "expect_column_values_to_be_between", bounds(INTEGERS)),
    on("x", "expect_column_values_to_be_between", bounds(FLOATS | INTEGERS)),
    on("d", "expect_column_values_to_be_between", bounds(DAYS.map(lambda d: f"{d:%Y-%m-%dT%H:%M:%S}"))),
    *(
        on(c, f"expect_column_values_to_{word}be_in_set", st.lists(v, max_size=3).map(lambda s: {"value_set": s}))
        for c, v in (("n", INTEGERS), ("x", FLOATS), ("s", TEXTS))
        for word in ("", "not_")
    ),
    on("k", "expect_column_values_to_match_regex", PATTERNS.map(lambda p: {"regex": p})),
    on("k", "expect_column_values_to_not_match_regex", PATTERNS.map(lambda p: {"regex": p})),
    on("s", "expect_column_value_lengths_to_be_between", bounds(st.integers(0, 3))),
    COMPOUND.map(lambda kwargs: Rule("expect_compound_columns_to_be_unique", kwargs)),
)


class FrameReader:
    """A frame as a source of typed raw values."""

    is_text, may_hold_nul, notation, written = False, False, PLAIN, None

    def __init__(self, duck: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
        self.part = LocalPart(0, "frame", "1", None)  # type: ignore[arg-type]
        self.names = tuple(frame.columns)
        self.types = {name: parse_type(kind).duck for name, kind in KINDS.items()}
        columns = ", ".join(f"{name} {parse_type(kind).duck}" for name, kind in KINDS.items())
        duck.execute(f"CREATE TABLE frame (line INTEGER, {columns})")
        for line, row in enumerate(frame.itertuples(index=False)):
            values = [
                None if pd.isna(value) else value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
                for value in row
            ]
            duck.execute("INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?)", [line, *values])

    def read(self, use: Any) -> None:
        raw = ", ".join(f"{name} AS r{number}" for number, name in enumerate(self.names))
        use(f"SELECT line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, {raw} FROM frame")


@pytest.fixture(scope="module")
def runner() -> ExpectationRunner:
    return ExpectationRunner()


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(frame=frames(), rule=RULES, mostly=MOSTLY)
def test_a_compiled_rule_finds_the_same_records_as_great_expectations(
    runner: ExpectationRunner, frame: pd.DataFrame, rule: Rule, mostly: float | None
) -> None:
    if mostly is not None:
        rule = Rule(rule.expectation, {**rule.kwargs, "mostly": mostly})
    theirs = runner.rows(rule, lambda size: [frame]).positions
    with tempfile.TemporaryDirectory() as folder, open_duckdb(Path(folder), "200MB") as duck:
        stage = Stage(duck, {name: Cast(parse_type(kind)) for name, kind in KINDS.items()}, [rule], PostgresDialect())
        assert not stage._judge.expectations, "this test is about what is compiled"
        stage.fill([FrameReader(duck, frame)])
        ours = [letter.line for letter in stage.dead_letters()]
    assert ours == sorted(theirs)


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
    condition = {"column": "a", "row_condition": "a > 1", "condition_parser": "pandas"}
    assert compile_rule(Rule("expect_column_values_to_not_be_null", condition), some) is None


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


def test_an_expectation_that_cannot_be_computed_is_broken(runner: ExpectationRunner) -> None:
    rule = Rule("expect_column_mean_to_be_between", {"column": "nope", "min_value": 5})
    with pytest.raises(FaultError, match="CHECK_BROKEN"):
        runner.table(rule, pd.DataFrame({"n": [1]}))
