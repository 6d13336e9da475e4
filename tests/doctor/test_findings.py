from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluicegate.doctor.finding import Finding, Status, exit_code, fail, looked, ok, skipped, warn
from sluicegate.doctor.installation import running_airflow
from sluicegate.doctor.needs import Needs
from sluicegate.faults import fault
from sluicegate.graph.pools import Use

UNREACHED = Finding("a", Status.FAIL, "silence", "wait", reached=False)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "x"), warn("b", "x", "y"), skipped("c", "x")], 0),
        ([UNREACHED, ok("a", "x")], 3),
        ([UNREACHED, fail("b", "x", "y")], 1),
    ],
)
def test_the_exit_code_says_what_failed(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


@pytest.mark.parametrize(
    ("error", "status", "reached"),
    [
        (fault("AWS_DENIED", "no"), Status.SKIPPED, True),
        (fault("AWS_UNAVAILABLE", "silence"), Status.FAIL, False),
        (fault("AWS_NOT_FOUND", "gone"), Status.FAIL, True),
        (KeyError("x"), Status.FAIL, True),
    ],
)
def test_an_error_of_a_look_is_one_more_finding(error: Exception, status: Status, reached: bool) -> None:
    def look() -> Iterator[Finding]:
        yield ok("first", "seen")
        raise error

    first, second = looked("second", look)
    assert (first.check, second.check, second.status, second.reached) == ("first", "second", status, reached)
    assert second.remedy


def pool_finding(uses: set[Use], **pool: object) -> Finding:
    def ask(where: str, query: object = None) -> object:
        return {"pools": [{"name": "p", "slots": 4, "include_deferred": False} | pool]} if where == "/pools" else {}

    needs = Needs(pools={"p": frozenset({"x"})}, pool_uses={"p": frozenset(uses)})
    return {one.check: one for one in running_airflow(needs, ask)}["pool p"]


def test_a_pool_that_is_missing_or_has_no_slots_is_found_with_the_command_that_makes_it() -> None:
    missing = pool_finding({Use.WAREHOUSE}, name="another")
    assert (missing.status, missing.remedy) == (Status.FAIL, 'airflow pools set p 8 "Loads at once"')
    assert "Airflow starts no task" in missing.detail
    assert pool_finding({Use.CLUSTER}, name="another").remedy.endswith("--include-deferred")
    assert pool_finding({Use.SOURCE}, slots=0).status is Status.FAIL
    assert pool_finding({Use.SOURCE}, slots=-1).detail == "any number of slots"


def test_only_a_pool_of_clusters_has_to_count_deferred_tasks() -> None:
    assert pool_finding({Use.CLUSTER}).status is Status.WARN
    assert pool_finding({Use.CLUSTER}, include_deferred=True).status is Status.OK
    assert pool_finding({Use.SOURCE, Use.WAREHOUSE, Use.OWN}).status is Status.OK


def test_a_pool_beyond_the_first_page_is_found() -> None:
    pools = [{"name": f"p{number}", "slots": 1, "include_deferred": True} for number in range(150)]

    def ask(where: str, query: dict[str, int] | None = None) -> object:
        if where != "/pools":
            return {}
        start = (query or {}).get("offset", 0)
        return {"pools": pools[start : start + 100], "total_entries": len(pools)}

    found = {one.check: one for one in running_airflow(Needs(pools={"p149": frozenset({"x"})}), ask)}
    assert found["pool p149"].status is Status.OK
