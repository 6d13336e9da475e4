"""Looks beside each other: one that hangs is a finding of its own, and holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.doctor.finding import Finding, Status, Unfit, looked, ok
from sluicegate.doctor.installation import connections
from sluicegate.doctor.needs import Needs
from sluicegate.doctor.together import together


def test_a_look_that_hangs_is_given_up_and_the_others_are_there_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluicegate.doctor.together._SAY_AFTER", 0.01)
    hang, said = threading.Event(), list[Sequence[str]]()

    def hangs() -> Iterator[Finding]:
        hang.wait(60)
        yield ok("slow", "at last")

    looks = [("slow", hangs), ("quick", lambda: iter([ok("quick", "seen")]))]
    try:
        slow, quick = together(looks, patience=2, waiting=said.append)
    finally:
        hang.set()
    assert (slow.check, slow.status, slow.reached, slow.detail) == ("slow", Status.FAIL, False, "no answer within 2 s")
    assert quick == ok("quick", "seen")
    assert said[-1] == ["slow"]


@pytest.mark.parametrize(
    ("words", "reached"),
    [
        ('connection to server at "db", port 5432 failed: FATAL:  password authentication failed for '
         'user "me"', True),
        ('FATAL:  database "shop" does not exist', True),
        ("401:Unauthorized", True),
        ('connection to server at "127.0.0.1", port 5432 failed: Connection refused', False),
        ("connection timeout expired", False),
        ("could not translate host name", False),
        ("All failures were: ::1: Connection refused, 127.0.0.1: password authentication failed", True),
    ],
)  # fmt: skip
def test_a_server_that_refuses_a_login_was_reached(words: str, reached: bool) -> None:
    connection: Any = SimpleNamespace(get_hook=lambda: SimpleNamespace(test_connection=lambda: (False, words)))
    [(check, look)] = connections(Needs(connections={"shop": frozenset({"orders"})}), lambda name: connection)
    [found] = looked(check, look)
    assert (found.status, found.reached) == (Status.FAIL, reached)
    assert ("The server answers" in found.remedy) == reached


def test_what_a_look_was_answered_has_its_own_remedy() -> None:
    def look() -> Iterator[Finding]:
        raise Unfit("no token", "Give one.", reached=True)
        yield

    assert list(looked("api", look)) == [Finding("api", Status.FAIL, "no token", "Give one.")]
