"""A run's receipt follows from those of its tries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sluicegate.ledger.receipts import Status
from sluicegate.receipts.page import page_of
from sluicegate.receipts.run import summary
from tests.receipts.runs import receipt, run


def test_a_try_that_another_one_followed_did_not_end() -> None:
    found = run(receipt(status=Status.RUNNING), receipt(try_number=2))
    assert [one.status for one in found.instances[0].tries] == [Status.LOST, Status.SUCCEEDED]
    assert found.status is Status.SUCCEEDED
    assert any("began at 2026-01-02 00:01:00 UTC and did not end" in line for line in page_of(found))


def test_a_try_without_an_end_and_without_another_is_running() -> None:
    found = run(receipt(status=Status.RUNNING))
    assert (found.status, found.ended_at) == (Status.RUNNING, None)
    assert "  status      running: load is running" in list(page_of(found))


def test_the_last_try_decides_and_counts() -> None:
    failed = receipt(status=Status.FAILED, fault={"code": "NETWORK", "detail": "away"}, facts={"counts": {"read": 5}})
    again = run(failed, receipt(try_number=2))
    assert (again.status, again.counts["read"]) == (Status.SUCCEEDED, 100)
    assert run(failed).status is Status.FAILED
    assert run(failed).faults == {"load": {"code": "NETWORK", "detail": "away"}}


def test_a_run_that_was_deleted_and_made_again_is_what_it_is_now() -> None:
    before = [receipt(status=Status.FAILED, try_number=2, fault={"code": "NETWORK"})]
    anew = receipt(try_number=1)
    anew = replace(anew, started_at=anew.started_at + timedelta(days=1))
    found = run(*before, anew)
    assert (found.status, found.faults) == (Status.SUCCEEDED, {})


def test_mapped_steps_are_one_step_with_their_counts_together() -> None:
    found = run(*(receipt(map_index=number) for number in range(30)))
    assert list(found.steps) == ["load"]
    assert found.counts["read"] == 3_000
    assert "  load  30 instances: succeeded  3,000 read, 2,940 inserted, 60 dead" in list(page_of(found))


def test_of_many_that_failed_it_says_how_many_more_there_are() -> None:
    found = run(*(receipt(map_index=n, status=Status.FAILED, fault={"code": "NETWORK"}) for n in range(30)))
    lines = list(page_of(found))
    assert "  load  10 more that did not succeed: --json has them" in lines
    assert lines[1].endswith("load[4] NETWORK and 25 more")


def test_steps_of_the_pipeline_that_never_began_are_named() -> None:
    found = run(receipt(status=Status.FAILED), said={"steps.load.key": "id", "steps.announce.python": "a:b"})
    assert found.not_begun == ("announce",)
    assert list(page_of(found))[-1] == "  not begun: announce"


def test_hours_of_clusters_are_added_up_failed_tries_included() -> None:
    usage = {"clusters": [{"cluster_id": "j-1", "usage": {"instance_hours": {"spot": 1.5, "on_demand": 0.25}}}]}
    found = run(receipt(status=Status.FAILED, facts=usage), receipt(try_number=2, facts=usage))
    assert found.instance_hours == {"spot": 3.0, "on_demand": 0.5}


def test_the_summary_has_all_tries_and_facts() -> None:
    found = summary(run(receipt(status=Status.FAILED, fault={"code": "NETWORK"}), receipt(try_number=2)))
    assert (found["status"], found["counts"]["dead"], found["configuration"]["digest"]) == ("succeeded", 2, "c1")
    [step] = found["steps"]
    assert [(one["try_number"], one["status"]) for one in step["tries"]] == [(1, "failed"), (2, "succeeded")]
    assert step["facts"]["inputs"][0]["version"] == "v1"
