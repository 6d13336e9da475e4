from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string

from sluicegate.faults import fault
from sluicegate.wait.trigger import SourceTrigger, UpstreamTrigger, WaitTrigger
from sluicegate.wait.verdict import Sighting


class Scripted(WaitTrigger):
    """Sees what it is told to, one after the other; the last stays."""

    def __init__(self, *script: Sighting | Exception, **kwargs: Any) -> None:
        super().__init__(**{"poke_interval": 0.001, "deadline": None} | kwargs)
        self.script = list(script)

    def sightings(self) -> Sequence[Sighting]:
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(now, Exception):
            raise now
        return [now]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError


def event_of(trigger: WaitTrigger) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            payload: dict[str, Any] = event.payload
            return payload
        raise AssertionError("no event")

    return asyncio.run(asyncio.wait_for(first(), 20))


RUNNING, DONE, FAILED = (Sighting("w", "r", state) for state in ("running", "success", "failed"))


def test_it_waits_until_all_is_there() -> None:
    assert event_of(Scripted(Sighting("w"), RUNNING, DONE))["outcome"] == "ready"


def test_a_failure_is_waited_out_or_ends_the_wait() -> None:
    assert event_of(Scripted(FAILED, RUNNING, DONE))["outcome"] == "ready"
    event = event_of(Scripted(RUNNING, FAILED, DONE, fail_fast=True))
    assert event == {"outcome": "failed", "seen": "w: failed (run r)"}


def test_a_skip_ends_the_wait_at_once_unless_the_file_waits_for_it() -> None:
    skipped = Sighting("w", "r", "skipped")
    assert event_of(Scripted(RUNNING, skipped)) == {"outcome": "skipped", "seen": "w: skipped (run r)"}
    assert event_of(Scripted(RUNNING, skipped, on_skipped="run"))["outcome"] == "ready"
    assert event_of(Scripted(skipped, DONE, on_skipped="wait"))["outcome"] == "ready"
    window = Sighting("w", "r", "skipped", at="2026-01-05T00:00:00+00:00")
    assert event_of(Scripted(RUNNING, window, on_skipped="run"))["skipped"] == [window.at]


def test_the_deadline_ends_the_wait_and_says_what_was_missing() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert event_of(Scripted(RUNNING, deadline=past)) == {"outcome": "late", "seen": "w: running (run r)"}


def test_what_is_there_at_the_deadline_counts() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert event_of(Scripted(DONE, deadline=past))["outcome"] == "ready"


def test_it_says_what_it_waits_for_only_when_that_changes(capsys: pytest.CaptureFixture[str]) -> None:
    event_of(Scripted(Sighting("w"), Sighting("w"), RUNNING, RUNNING, RUNNING, DONE))
    said = [line for line in capsys.readouterr().out.splitlines() if "waiting for" in line]
    assert len(said) == 2


def test_a_passing_error_is_waited_out() -> None:
    assert event_of(Scripted(fault("NETWORK"), fault("AWS_THROTTLED"), DONE))["outcome"] == "ready"


def test_an_error_that_stays_ends_the_wait() -> None:
    event = event_of(Scripted(fault("NETWORK", "no route")))
    assert (event["outcome"], event["code"], event["detail"]) == ("broken", "NETWORK", "no route")


def test_an_error_that_no_waiting_mends_ends_the_wait_at_once() -> None:
    event = event_of(Scripted(fault("AWS_DENIED", "no"), DONE))
    assert (event["outcome"], event["code"]) == ("broken", "AWS_DENIED")


@pytest.mark.parametrize(
    "trigger",
    [
        UpstreamTrigger(
            awaited_dag="flights", awaited_task="fetch", dates=["2026-01-05T00:00:00+00:00"], poke_interval=3
        ),
        UpstreamTrigger(awaited_dag="reference", awaited_task="load", dates=None, poke_interval=3, fail_fast=True),
        SourceTrigger(uris=["s3://b/k"], aws_conn_id="aws", poke_interval=3, deadline="2026-01-05T00:00:00+00:00"),
    ],
)
def test_a_trigger_moves_to_another_triggerer_unchanged(trigger: WaitTrigger) -> None:
    path, kwargs = trigger.serialize()
    again = import_string(path)(**kwargs)
    assert type(again) is type(trigger)
    assert again.serialize() == (path, kwargs)


def test_a_file_is_waited_for_until_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    trigger = SourceTrigger(uris=[str(file)], aws_conn_id="aws_default", poke_interval=0.01)

    async def delivered() -> dict[str, Any]:
        waiting = asyncio.create_task(anext(aiter(trigger.run())))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        assert not waiting.done()
        file.write_text("id\n1\n")
        event = await asyncio.wait_for(waiting, 20)
        payload: dict[str, Any] = event.payload
        return payload

    assert asyncio.run(delivered())["outcome"] == "ready"
