from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluicegate.doctor.finding import Finding, Status, exit_code, fail, looked, ok, skipped, warn
from sluicegate.doctor.installation import running_airflow
from sluicegate.doctor.needs import Needs
from sluicegate.faults import fault

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


def test_a_pool_beyond_the_first_page_is_found() -> None:
    pools = [{"name": f"p{number}", "slots": 1, "include_deferred": True} for number in range(150)]

    def ask(where: str, query: dict[str, int] | None = None) -> object:
        if where != "/pools":
            return {}
        start = (query or {}).get("offset", 0)
        return {"pools": pools[start : start + 100], "total_entries": len(pools)}

    found = {one.check: one for one in running_airflow(Needs(pools={"p149": frozenset({"x"})}), ask)}
    assert found["pool p149"].status is Status.OK
