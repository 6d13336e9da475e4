from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sluicegate.graph.window import Window
from sluicegate.health.facts import (
    AlertFacts,
    CircuitFacts,
    FailureFacts,
    JournalFacts,
    LetterFacts,
    LoadFacts,
    MissingPool,
    PipelineFacts,
    Promise,
    RunFacts,
    SiteFacts,
)
from sluicegate.health.report import document, report
from sluicegate.health.usual import unusual

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(NOW.replace(hour=0) - DAY, NOW.replace(hour=0))


def pipeline(name: str, *, watches: bool = False) -> PipelineFacts:
    promise = Promise(2 * DAY, journal="warehouse", watches=watches)
    return PipelineFacts(name, promise=promise, newest=RunFacts("r", True, WINDOW), newest_success=WINDOW,
                         next_window=NOW, next_due=NOW + DAY)  # fmt: skip


JOURNAL = JournalFacts(
    "warehouse",
    loads=(LoadFacts("orders", "load", 3, NOW, (100, 101, 99, 98, 100)),),
    letters=(LetterFacts("stock", "load", 7, NOW - DAY),),
    circuits=(CircuitFacts("connection:crm", "open", NOW + DAY, "DATABASE_UNREACHABLE"),),
    alerts=(AlertFacts("orders", "on_call", 2, NOW - DAY, "404"),),
)
SITE = SiteFacts(
    NOW, (pipeline("orders", watches=True), pipeline("stock")), pools=(MissingPool("stock", "load", "nope"),),
    journals={"warehouse": JOURNAL},
)  # fmt: skip


def test_what_the_journal_says_is_said_of_its_pipelines_with_both_numbers() -> None:
    found = document(report(SITE, may_read=lambda _: True))
    assert [(each["what"], each["pipeline"]) for each in found["findings"]] == [
        ("undelivered_alert", "orders"),
        ("pool_missing", "stock"),
        ("circuit", None),
        ("rows", "orders"),
        ("dead_letters", "stock"),
    ]
    rows = found["findings"][3]
    assert (rows["rows"], rows["usual_rows"]) == (3, 100)
    assert "3 records" in rows["detail"]
    assert "about 100" in rows["detail"]
    assert json.loads(json.dumps(found)) == found


def test_a_failed_run_is_said_with_the_fault_of_its_step() -> None:
    failed = replace(pipeline("orders"), newest=RunFacts("r", False, WINDOW, failed_steps=("load",)))
    other = FailureFacts("orders", "earlier", "load", "NETWORK")
    journal = JournalFacts("warehouse", failures=(other, FailureFacts("orders", "r", "load", "BAD", "no\ncolumn x")))
    found = document(report(SiteFacts(NOW, (failed,), journals={"warehouse": journal}), may_read=lambda _: True))
    assert found["findings"][0]["fault"] == "BAD"
    assert found["findings"][0]["detail"].endswith(" failed in load; load: BAD: no column x")


def test_a_reader_of_one_pipeline_sees_nothing_of_another() -> None:
    found = document(report(SITE, may_read=lambda name: name == "stock"))
    assert {each["pipeline"] for each in found["findings"]} == {"stock", None}
    assert [each["name"] for each in found["pipelines"]] == ["stock"]


def test_a_reader_learns_nothing_of_a_journal_that_only_others_have() -> None:
    foreign = replace(JOURNAL, connection="payroll", circuits=(CircuitFacts("host:hr.example", "open", None),))
    payroll = replace(pipeline("salaries"), promise=Promise(2 * DAY, journal="payroll"))
    site = replace(SITE, pipelines=(*SITE.pipelines, payroll), journals={"warehouse": JOURNAL, "payroll": foreign})
    found = document(report(site, may_read=lambda name: name != "salaries"))
    assert "payroll" not in json.dumps(found)
    assert "hr.example" not in json.dumps(found)


def test_one_pipeline_alone_is_not_judged_by_what_concerns_all() -> None:
    found = report(SITE, may_read=lambda _: True, only="orders")
    assert {each.pipeline for each in found.findings} == {"orders"}


def test_that_nobody_watches_is_a_warning() -> None:
    site = SiteFacts(NOW, (pipeline("orders"),))
    assert [each["what"] for each in document(report(site, may_read=lambda _: True))["findings"]] == ["no_watch"]


def test_rows_are_compared_with_the_median_of_the_last_loads() -> None:
    usual = [100, 103, 98, 101, 99, 102]
    assert unusual(100, usual) is None
    assert unusual(40, usual) == 100
    assert unusual(250, usual) == 100
    assert unusual(0, usual) == 100
    assert unusual(0, [0, 0, 0, 0, 0]) is None


def test_one_load_that_went_wrong_does_not_become_the_usual() -> None:
    assert unusual(100, [2, 101, 99, 100, 98, 5000]) is None


def test_a_quiet_sunday_every_week_is_usual() -> None:
    week = [1000, 1010, 990, 1000, 1005, 995, 12]
    assert unusual(11, [*week, *week]) == 1000
    assert unusual(13, [*week, *week]) is None


def test_few_loads_are_nothing_to_compare_with() -> None:
    assert unusual(1, [1000, 1000, 1000, 1000]) is None
