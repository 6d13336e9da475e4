"""What is not compiled is carried out by Great Expectations, within a load: nothing is skipped."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from sluicegate.pipeline.keys.model import Check


def check(expectation: str, **kwargs: object) -> Check:
    return Check(expectation=expectation, kwargs=kwargs)


def test_row_level_expectations_set_records_aside_beside_the_compiled_ones(warehouse: Any) -> None:
    path = warehouse.file("1.csv", "id,s,n\n1,2024,1\nbad\n2,x,07\n3,,3\n4,2020,x\n5,nope,5\n")
    report = warehouse.load(
        path,
        key="id",
        columns={"n": "integer"},
        checks=(
            check("expect_column_values_to_match_strftime_format", column="s", strftime_format="%Y"),
            check("expect_column_values_to_match_regex", column="s", regex="^(?!nope)"),
        ),
    )
    assert warehouse.rules() == [
        (3, ["malformed"]),
        (4, ["expect_column_values_to_match_strftime_format:s"]),
        (6, ["type:n"]),
        (7, ["expect_column_values_to_match_strftime_format:s", "matches:s"]),
    ]
    assert json.loads(warehouse.letters()[1][1]) == {"id": "2", "s": "x", "n": "07"}
    assert report.counts.inserted == 2


def test_an_expectation_about_the_table_that_does_not_hold_fails_the_load(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1], [1, 2], [2, 3]])
    rows = check("expect_table_row_count_to_be_between", min_value=2, max_value=2)
    mean = check("expect_column_mean_to_be_between", column="n", min_value=100)
    assert warehouse.load(path, key="id", checks=(rows,), dry_run=True).counts.inserted == 2, "after deduplication"
    failed = warehouse.fails(path, key="id", checks=(rows, mean))
    assert failed.code == "CHECK_FAILED"
    assert "expect_column_mean_to_be_between:n does not hold: saw 2.5" in failed.detail
    assert "row_count" not in failed.detail
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    assert warehouse.rows("SELECT status, fault, read, rejected FROM sluicegate.loads") == [
        ("failed", "CHECK_FAILED", 3, 3)
    ]


def test_a_suite_is_a_file_of_expectations(warehouse: Any) -> None:
    suite = {
        "name": "s",
        "expectations": [
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "n", "max_value": 5}},
            {"expectation_type": "expect_column_values_to_be_in_set", "kwargs": {"column": "n", "value_set": [1, 9]}},
        ],
    }
    file = warehouse.file("suite.json", json.dumps(suite))
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1], [2, 9], [3, 2]])
    report = warehouse.load(path, key="id", suite=file)
    assert report.reasons == {"between:n": 1, "in:n": 1}
    file.write_text(json.dumps({"expectations": suite["expectations"][:1]}))
    assert warehouse.load(path, key="id", suite=file).status == "loaded", (
        "the content of the suite is part of the digest"
    )
    assert warehouse.fails(path, key="id", suite=warehouse.file("no.json", "[1]")).code == "CHECK_BROKEN"


def test_a_misspelt_expectation_is_broken_before_anything_is_changed(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1]])
    failed = warehouse.fails(path, key="id", checks=(check("expect_column_values_to_be_betwen", column="n"),))
    assert failed.code == "CHECK_BROKEN"
    assert "did you mean 'expect_column_values_to_be_between'" in failed.detail
    assert warehouse.one("SELECT to_regclass('t') IS NULL")


def test_bounds_are_compared_as_what_their_column_is(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "d", "t", "z"], [[1, *["2025-09-01"] * 3], [2, *["2025-09-05"] * 3]])
    columns = {"d": "date", "t": "timestamp", "z": "timestamptz"}
    for column in columns:
        for kind, observed in (("max", "saw 2025-09-05"), ("min", "saw 2025-09-01")):
            name = f"expect_column_{kind}_to_be_between"
            good = check(name, column=column, min_value="2025-09-01", max_value="2025-09-05")
            assert warehouse.load(path, key="id", columns=columns, checks=(good,), force=True).counts.dead == 0
            failed = warehouse.fails(
                path, key="id", columns=columns, checks=(check(name, column=column, min_value="2025-09-06"),)
            )
            assert (failed.code, observed in failed.detail) == ("CHECK_FAILED", True)
    both = check("expect_column_distinct_values_to_be_in_set", column="d", value_set=["2025-09-01", "2025-09-05"])
    assert warehouse.load(path, key="id", columns=columns, checks=(both,)).status == "loaded"


def test_a_bound_without_a_zone_is_in_the_columns_own(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "at"], [[1, "2025-09-01 00:00:00"], [2, "2025-08-31 23:30:00"]])
    columns = {"at": {"type": "timestamptz", "zone": "Europe/Berlin", "between": ["2025-09-01", None]}}
    warehouse.load(path, key="id", columns=columns)
    assert warehouse.rules() == [(3, ["between:at"])]


def test_a_check_of_some_records_compares_dates_too(warehouse: Any) -> None:
    rows = [[1, "2025-09-01", "2025-09-02", "done"], [2, "2025-09-05", "", "open"], [3, "2024-01-01", "", "done"]]
    done = {"row_condition": 's=="done"', "condition_parser": "pandas"}
    warehouse.load(
        warehouse.csv("1.csv", ["id", "d", "e", "s"], rows),
        key="id",
        columns={"d": "date", "e": "date"},
        checks=(
            check("expect_column_values_to_not_be_null", column="e", **done),
            check("expect_column_values_to_be_between", column="d", min_value="2025-01-01", **done),
        ),
    )
    assert warehouse.rules() == [(4, ["required:e", "between:d"])]
    assert warehouse.one("SELECT count(*) FROM t") == 2


def test_numbers_without_a_precision_are_numbers_to_great_expectations(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, "9"], [2, "10.5"]])
    top = check("expect_column_max_to_be_between", column="n", min_value=10)
    assert warehouse.load(path, key="id", columns={"n": "numeric"}, checks=(top,)).status == "loaded"


def test_a_bound_that_no_value_of_the_column_can_have_is_compared_and_does_not_crash(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n", "m", "r"], [[1, 7, "9.50", "0.1"]])
    columns = {
        "n": {"type": "bigint", "between": [-(10**30), 10**39]},
        "m": {"type": "numeric(12,2)", "between": [None, 10**37], "in": [9.5, 10**37]},
        "r": {"type": "real", "between": [0, 0.1]},
    }
    assert warehouse.load(path, key="id", columns=columns).counts.inserted == 1


def test_the_columns_of_the_table_are_all_of_them_and_not_those_of_the_check(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1]])
    wanted = check("expect_table_columns_to_match_ordered_list", column_list=["id"])
    assert "saw ['id', 'n']" in warehouse.fails(path, key="id", checks=(wanted,)).detail


def test_what_only_warns_is_counted_and_loads(warehouse: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sluicegate.load")
    path = warehouse.csv("1.csv", ["id", "n", "s"], [[1, 1, "a"], [2, 9, "a"], [3, 8, "b"]])
    report = warehouse.load(
        path,
        key="id",
        columns={"n": {"type": "integer", "between": [2, None]}},
        checks=(
            check("expect_column_values_to_be_between", column="n", max_value=5, severity="warning"),
            check("expect_column_values_to_be_in_set", column="n", value_set=[1, 8, 9], severity="warning"),
            check("expect_column_values_to_be_unique", column="s", severity="info"),
            check("expect_column_value_z_scores_to_be_less_than", column="n", threshold=0.1, double_sided=True,
                  severity="warning"),
            check("expect_column_mean_to_be_between", column="n", max_value=5, severity="warning"),
            check("expect_column_kl_divergence_to_be_less_than", column="s", threshold=0.01, severity="info",
                  partition_object={"values": ["a", "b"], "weights": [0.1, 0.9]}),
        ),
    )  # fmt: skip
    assert report.reasons == {"between:n": 1}
    assert report.counts.inserted == 2
    warnings = dict(report.warnings)
    assert float(warnings.pop("expect_column_kl_divergence_to_be_less_than:s")) > 0.01
    assert warnings == {
        "between:n#2": 2,
        "unique:s": 2,
        "expect_column_value_z_scores_to_be_less_than:n": 3,
        "expect_column_mean_to_be_between:n": "8.5",
    }
    assert "warnings: between:n#2 2, unique:s 2" in report.line()
    assert [record.levelname for record in caplog.records if "unique:s" in record.message] == ["INFO"]
    assert [record.levelname for record in caplog.records if "between:n#2" in record.message] == ["WARNING"]
    odd = check("expect_column_values_to_be_unique", column="s", severity="warn")
    assert "did you mean 'warning'?" in warehouse.fails(path, key="id", checks=(odd,), force=True).detail
