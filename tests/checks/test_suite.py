"""Suites as Great Expectations saved them, of version 1 and of 0.18, and what is wrong in one, with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import compile_rule
from sluicegate.checks.suite import rules_of_suite
from sluicegate.faults import FaultError

# As version 1.24 saved it with `context.suites.add`.
SAVED = """{
  "expectations": [
    {
      "id": "7c6d631e-8277-4d92-8767-d29800797441",
      "kwargs": {
        "column": "n",
        "max_value": 5.0,
        "mostly": 0.9
      },
      "meta": {
        "notes": "x"
      },
      "severity": "warning",
      "type": "expect_column_values_to_be_between"
    },
    {
      "id": "8a1f6635-28f1-471a-8bb4-c232b2457609",
      "kwargs": {
        "column": "s",
        "row_condition": {
          "conditions": [
            {"column": {"name": "n"}, "operator": ">", "parameter": 2, "type": "comparison"},
            {"column": {"name": "s"}, "is_null": false, "type": "nullity"}
          ],
          "type": "and"
        }
      },
      "meta": {},
      "severity": "critical",
      "type": "expect_column_values_to_not_be_null"
    },
    {
      "id": "8b41a4c2-2c97-45ed-9a4f-df3285d42f91",
      "kwargs": {
        "column": "s",
        "condition_parser": "pandas",
        "row_condition": {
          "pass_through_filter": "n > 3",
          "type": "pass_through"
        }
      },
      "meta": {},
      "severity": "critical",
      "type": "expect_column_values_to_not_be_null"
    }
  ],
  "id": "2b5f736b-4d44-4a01-a3c8-09b597188dbb",
  "meta": {
    "great_expectations_version": "1.24.1"
  },
  "name": "orders",
  "notes": null
}
"""
# As version 0.18 saved it.
OLD = {
    "data_asset_type": None,
    "expectation_suite_name": "orders",
    "expectations": [
        {
            "expectation_type": "expect_column_values_to_be_in_set",
            "ge_cloud_id": None,
            "kwargs": {"auto": True, "column": "n", "profiler_config": {"a": 1}, "value_set": [1, 9]},
            "meta": {"profiler_details": {}},
        },
        {"expectation_type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "meta": {}},
    ],
    "ge_cloud_id": None,
    "meta": {"great_expectations_version": "0.18.22"},
}
COLUMNS = {
    "n": CheckedColumn("n", "n IS NULL", "BIGINT", "number"),
    "s": CheckedColumn("s", "s IS NULL", "VARCHAR", "text"),
}


def test_a_suite_of_version_1_keeps_its_shares_conditions_and_severities(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text(SAVED)
    between, structured, passed = rules_of_suite(tmp_path, "orders.json")
    assert (between.severity, between.kwargs["mostly"]) == ("warning", 0.9)
    assert [rule.place for rule in (between, structured, passed)] == [
        "orders.json:3", "orders.json:16", "orders.json:32",
    ]  # fmt: skip
    fails = [compiled.fails for rule in (structured, passed) if (compiled := compile_rule(rule, COLUMNS)) is not None]
    assert fails == [
        "((coalesce(n > CAST('2' AS DECIMAL(1,0)), false) AND NOT s IS NULL) AND s IS NULL)",
        "((coalesce(n > CAST('3' AS DECIMAL(1,0)), false)) AND s IS NULL)",
    ]


def test_a_suite_of_version_0_18_is_read_without_what_its_profiler_left(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(OLD, indent="\t"))
    rules = rules_of_suite(tmp_path, "old.json")
    assert [(rule.name, dict(rule.kwargs)) for rule in rules] == [
        ("in:n", {"column": "n", "value_set": [1, 9]}),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"expectations": [}', "s.json:1:19: it is not JSON"),
        ("[1]", "s.json: it is not a suite of Great Expectations: it has no list `expectations`"),
        ('{"expectations": [\n{"kwargs": {}}]}', "s.json:2: it is not an expectation"),
        ('{"expectations": [\n\n"x"]}', "s.json:3: it is not an expectation"),
        (
            '{"expectations": [{"type": "expect_column_mean_to_be_between",\n "kwargs": {"column": "n",'
            ' "min_value": {"$PARAMETER": "low"}}}]}',
            "min_value is the suite parameter 'low', which a load does not give: write its value",
        ),
        (None, "s.json: the suite cannot be read: No such file"),
    ],
)
def test_what_is_wrong_in_a_suite_is_said_with_its_place(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    with pytest.raises(FaultError, match="CHECK_BROKEN") as broken:
        rules_of_suite(tmp_path, "s.json")
    assert words in broken.value.detail


def test_an_argument_that_makes_no_sense_says_in_which_line_of_the_suite(tmp_path: Path) -> None:
    entry: dict[str, Any] = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "n", "max": 5}}
    (tmp_path / "s.json").write_text(json.dumps({"expectations": [entry]}, indent=1))
    (rule,) = rules_of_suite(tmp_path, "s.json")
    with pytest.raises(FaultError, match=r"s\.json:3: expect_column_values_to_be_between: it has no argument 'max'"):
        compile_rule(rule, COLUMNS)
