"""What the checks of a load saw, as Great Expectations' own JSON and page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.data_docs import page_of
from sluicegate.load.references import Referenced
from sluicegate.load.request import LoadRequest
from sluicegate.pipeline.keys.model import Check

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
ORIGIN = Origin("orders", "load_orders", "run-1", 1, WINDOW)
NAME = "orders.load_orders.2026-01-01T00-00-00Z"


def check(expectation: str, **kwargs: object) -> Check:
    return Check(expectation=expectation, kwargs=kwargs)


@pytest.fixture
def source(warehouse: Any) -> Path:
    rows = [[1, 1, "a", 1.5], [2, 9, "a", "nan"], [3, "", "b", 0.5], [4, 50, "secret", 7], ["x", 4, "c", 1]]
    path: Path = warehouse.csv("1.csv", ["id", "n", "s", "x"], rows)
    return path


def test_results_are_what_great_expectations_would_write(warehouse: Any, source: Path) -> None:
    folder = warehouse.folder / "results"
    report = warehouse.load(
        source, key="id", origin=ORIGIN, results=f"{folder}/", data_docs=True,
        columns={
            "id": {"type": "integer"}, "n": {"type": "integer", "between": [0, 10]}, "x": "double",
            "s": {"sensitive": True, "unique": True, "references": "letters.s"},
        },
        references={"letters": Referenced((str(warehouse.csv("o.csv", ["s"], [["a"], ["b"]])),))},
        checks=(
            check("expect_column_values_to_be_between", column="n", max_value=8, severity="warning"),
            check("expect_column_pair_values_to_be_equal", column_A="id", column_B="n", mostly=0.2),
            check("expect_column_mean_to_be_between", column="n", max_value=0, severity="info"),
            check("expect_column_value_z_scores_to_be_less_than", column="n", threshold=1, double_sided=True,
                  severity="warning"),
        ),
    )  # fmt: skip
    document = json.loads((folder / f"{NAME}.json").read_text())
    by_name = {one["expectation_config"]["meta"]["name"]: one for one in document["results"]}
    assert document["suite_name"] == "t"
    assert document["meta"]["reasons"] == report.reasons
    assert by_name["between:n"]["result"] == {
        "element_count": 5, "unexpected_count": 1, "unexpected_percent": 25.0, "partial_unexpected_list": [50],
        "missing_count": 1, "missing_percent": 20.0, "unexpected_percent_total": 20.0,
        "unexpected_percent_nonmissing": 25.0,
    }  # fmt: skip
    assert by_name["between:n"]["success"] is False
    assert by_name["between:n#2"]["expectation_config"]["severity"] == "warning"
    assert by_name["between:n#2"]["result"]["partial_unexpected_list"] == [9, 50]
    assert by_name["expect_column_value_z_scores_to_be_less_than:n"]["result"]["partial_unexpected_list"] == [50]
    assert by_name["expect_column_mean_to_be_between:n"]["result"]["observed_value"] is None
    assert by_name["unique:s"]["result"]["partial_unexpected_list"] == ["***", "***"]
    assert by_name["references:s"]["result"]["unexpected_count"] == 2
    assert by_name["references:s"]["expectation_config"]["kwargs"]["value_set"] == ["letters.s"]
    pair = by_name["expect_column_pair_values_to_be_equal:id+n"]
    assert pair["success"]
    assert pair["result"]["partial_unexpected_list"] == [[2, 9], [3, None], [4, 50], [None, 4]]
    assert document["statistics"]["evaluated_expectations"] == len(document["results"])
    assert document["success"] is False
    assert "secret" not in json.dumps(document)

    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema

    theirs = ExpectationSuiteValidationResultSchema().load(document)
    assert theirs.get_max_severity_failure() == "critical"
    page = (folder / f"{NAME}.html").read_text()
    assert "values must be greater than or equal to 0 and less than or equal to 10" in text_of(page)
    assert "secret" not in page
    assert "__none__" not in page
    assert 'href="../' not in page, "there are no other pages"
    assert "(2, 9)" in text_of(page)
    assert page.index("fa-times::before") < page.index("font-awesome"), "the page's own styles win where they are there"
    by_name["between:n"]["result"]["partial_unexpected_list"] = ["<b>bold</b>"]
    assert "<b>bold</b>" in text_of(page_of(document)), "what a record says is no HTML"


def test_results_are_written_when_the_load_fails_and_not_in_a_dry_run(warehouse: Any, source: Path) -> None:
    folder = warehouse.folder / "results"
    words: dict[str, Any] = {"key": "id", "origin": ORIGIN, "results": f"{folder}/"}
    many = check("expect_table_row_count_to_be_between", min_value=100)
    warehouse.load(source, dry_run=True, **words)
    assert not folder.exists()
    assert warehouse.fails(source, checks=(many,), **words).code == "CHECK_FAILED"
    (result,) = (
        one
        for one in json.loads((folder / f"{NAME}.json").read_text())["results"]
        if one["expectation_config"]["type"] == "expect_table_row_count_to_be_between"
    )
    assert (result["success"], result["result"]["observed_value"]) == (False, 5)


def test_what_a_check_saw_of_a_sensitive_column_is_shown_nowhere(
    warehouse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = warehouse.csv("1.csv", ["id", "pin"], [[1, 4711], [2, 4712]])
    most = {"column": "pin", "max_value": 10}
    warns = (
        check("expect_column_max_to_be_between", **most, severity="warning"),
        check("expect_column_most_common_value_to_be_in_set", column="pin", value_set=[1], severity="warning"),
        check("expect_table_row_count_to_equal", value=5, severity="warning"),
    )
    words: dict[str, Any] = {"key": "id", "columns": {"pin": {"type": "integer", "sensitive": True}}}
    folder = warehouse.folder / "results"
    report = warehouse.load(file, checks=warns, origin=ORIGIN, results=f"{folder}/", **words)
    assert report.warnings == {
        "expect_column_max_to_be_between:pin": "***",
        "expect_column_most_common_value_to_be_in_set:pin": "***",
        "expect_table_row_count_to_equal": "2",
    }
    failed = warehouse.fails(file, checks=(check("expect_column_max_to_be_between", **most),), **words)
    assert failed.detail == "expect_column_max_to_be_between:pin does not hold: saw ***"
    assert "471" not in caplog.text + report.line() + (folder / f"{NAME}.json").read_text()


def test_where_results_cannot_go_is_said_before(source: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"results": "s3://b/a.json"}, "not a folder"), ({"data_docs": True}, "say it too"),
    ]  # fmt: skip
    for words, why in cases:
        with pytest.raises(FaultError, match=why):
            LoadRequest(sources=(str(source),), table="t", **words)


def text_of(page: str) -> str:
    """The text of a page, with single spaces."""
    words: list[str] = []

    class Text(HTMLParser):
        def handle_data(self, data: str) -> None:
            words.append(data)

    Text().feed(page)
    return " ".join("".join(words).split())
