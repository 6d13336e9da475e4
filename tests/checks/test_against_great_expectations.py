"""Compiled rules say of every record, and of every table, what Great Expectations says of it on pandas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from sluicegate.checks.bounds import with_moments
from sluicegate.checks.compile import ROW_LEVEL
from sluicegate.checks.expectations import ExpectationRunner
from sluicegate.checks.rule import Rule
from sluicegate.checks.tablewise import TABLEWISE
from sluicegate.faults import FaultError
from tests.checks import cases

quickly = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def runner() -> ExpectationRunner:
    return ExpectationRunner()


def named(rules: Sequence[Rule]) -> list[Rule]:
    return [replace(rule, name=f"{number}") for number, rule in enumerate(rules)]


def test_every_compiled_expectation_is_tried() -> None:
    assert set(cases.ROW_LEVEL) == {name for name in ROW_LEVEL if "_like_pattern" not in name}, "LIKE: see test_like"
    assert set(cases.TABLE_LEVEL) == set(TABLEWISE)


@quickly
@given(rows=cases.records(1), rules=st.lists(cases.row_rules(), min_size=8, max_size=14).map(named))
def test_a_compiled_rule_finds_the_same_records(
    runner: ExpectationRunner, rows: list[cases.Record], rules: list[Rule]
) -> None:
    with cases.staged(rows, rules) as stage:
        judge = stage._judge
        compiled = [one.rule for one in judge.asked.rows]
        failures = {letter.line: {failure["rule"] for failure in letter.failures} for letter in stage.dead_letters()}
        checked = {name: stage._staged.checked(name) for name in cases.KINDS}
        frame = whole(stage)
        # Where its condition leaves only pairs that are ignored, Great Expectations 1.24 judges all the others.
        astray = {
            one.rule.name for one in judge.asked.rows if _is_conditional_pair(one.rule) and not judge.counts(one)[0]
        }
    assert compiled == rules, "this test is about what is compiled"
    for rule in compiled:
        if rule.name in astray:
            continue
        try:
            theirs = runner.rows(for_pandas(with_moments(rule, checked)), lambda size: [frame]).positions
        except FaultError as refused:
            note(f"{rule} {refused}")
            continue
        ours = tuple(sorted(line for line, names in failures.items() if rule.name in names))
        assert ours == theirs, f"{rule}\n{frame[[*rule.columns]]}"


@quickly
@given(rows=cases.records(), rules=st.lists(cases.table_rules(), min_size=8, max_size=14).map(named))
def test_a_compiled_rule_about_the_table_sees_the_same(
    runner: ExpectationRunner, rows: list[cases.Record], rules: list[Rule]
) -> None:
    with cases.staged(rows, rules) as stage:
        verdicts = stage.verdicts()
        checked = {name: stage._staged.checked(name) for name in cases.KINDS}
        frame = whole(stage)
        assert not stage._judge.asked.expectations, "this test is about what is compiled"
    for verdict in verdicts:
        try:
            theirs = runner.table(with_moments(verdict.rule, checked), frame)
        except FaultError as refused:
            note(f"{verdict.rule} {refused}")
            continue
        assert verdict.success == theirs.success, (
            f"{verdict.rule} saw {verdict.observed}, not {theirs.observed}\n{frame}"
        )


def whole(stage: Any) -> pd.DataFrame:
    """All records as Great Expectations gets them from a load; a text column without a value is one of text still."""
    frames = stage._staged.frames(list(cases.KINDS), "FROM staged s ORDER BY s.rowid")
    (frame,) = frames(None)
    return frame.astype(dict.fromkeys(cases.TEXTS, "str"))


def _is_conditional_pair(rule: Rule) -> bool:
    return "column_A" in rule.kwargs and "row_condition" in rule.kwargs


def for_pandas(rule: Rule) -> Rule:
    """`rule` with its pairs of days as the timestamps that pandas makes of a day."""
    if (pairs := rule.kwargs.get("value_pairs_set")) is None:
        return rule
    made = [[dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in pair] for pair in pairs]
    return replace(rule, kwargs={**rule.kwargs, "value_pairs_set": made})
