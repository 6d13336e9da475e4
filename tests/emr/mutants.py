"""Engines that are broken on purpose, each in one place: what the simulation must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluicegate.emr import attempt, client, engine
from sluicegate.emr.attempt import AlreadyDone, Start
from sluicegate.emr.client import EmrClient
from sluicegate.emr.engine import Engine
from sluicegate.emr.launch import Launch
from sluicegate.emr.notes import Notes
from sluicegate.emr.record import Record
from sluicegate.emr.sweep import Sweep
from sluicegate.emr.watch import Watch
from tests.emr.simulation import Parts

Patch = pytest.MonkeyPatch
Break = Callable[[Patch, Parts], None]


def botocore_repeats_the_start(patch: Patch, parts: Parts) -> None:
    class Repeating(EmrClient):
        def __init__(self, aws: Any, *, attempts: int = 6) -> None:
            super().__init__(aws, attempts=attempts)
            self._once = self._emr

    parts.client = Repeating


def a_lost_answer_is_called_for_again_at_once(patch: Patch, parts: Parts) -> None:
    patch.setattr(Launch, "_made", lambda *_: None)
    patch.setattr(engine, "_FRESH", timedelta(days=1))


def a_lost_answer_is_looked_into_once(patch: Patch, parts: Parts) -> None:
    patch.setattr(engine, "DOUBT", timedelta())


def an_intent_is_not_waited_for(patch: Patch, parts: Parts) -> None:
    patch.setattr(Notes, "in_doubt", lambda *_: False)


def a_claim_is_not_looked_at_again(patch: Patch, parts: Parts) -> None:
    def ask(self: Notes, attempt: int) -> bool:
        self._write(self.last.intends(attempt, self.clock(), self.by))
        self.asks += 1
        return True

    parts.is_hasty = True
    patch.setattr(Notes, "ask", ask)
    patch.setattr(Watch, "_end_twins", lambda *_: None)


def twins_are_left_alone(patch: Patch, parts: Parts) -> None:
    patch.setattr(Watch, "_end_twins", lambda *_: None)
    real = attempt.decide

    def decide(*args: Any, **kwargs: Any) -> Any:
        return replace(real(*args, **kwargs), surplus=())

    patch.setattr(engine, "decide", decide)


def work_that_was_not_reported_is_done_again(patch: Patch, parts: Parts) -> None:
    real = attempt.decide

    def decide(found: Any, *, finished_attempt: int = 0) -> Any:
        made = real(found, finished_attempt=finished_attempt)
        return Start(made.cluster.attempt + 1) if isinstance(made, AlreadyDone) else made

    patch.setattr(engine, "decide", decide)


def work_that_was_asked_to_end_is_done_again(patch: Patch, parts: Parts) -> None:
    real = attempt.decide

    def decide(found: Any, *, finished_attempt: int = 0) -> Any:
        kept = [replace(f, complete=f.complete and not f.ended_by_us) for f in found]
        return real(kept, finished_attempt=finished_attempt)

    patch.setattr(engine, "decide", decide)


def what_is_marked_is_taken_for_ended(patch: Patch, parts: Parts) -> None:
    real = attempt.decide

    def decide(found: Any, *, finished_attempt: int = 0) -> Any:
        made = real(found, finished_attempt=finished_attempt)
        return replace(made, surplus=tuple(each for each in made.surplus if each.live))

    patch.setattr(engine, "decide", decide)


def steps_added_by_hand_count(patch: Patch, parts: Parts) -> None:
    for module in (engine, client):
        patch.setattr(module, "own", lambda cluster, steps: steps)


def a_success_is_not_noted(patch: Patch, parts: Parts) -> None:
    patch.setattr(Record, "finished", lambda self, attempt, now: self)


def a_lost_store_makes_all_work_old(patch: Patch, parts: Parts) -> None:
    parts.happens = "lose_store"
    real = EmrClient._found
    patch.setattr(EmrClient, "_found", lambda *args: (f := real(*args)) and replace(f, generation="?"))


def a_name_is_used_again(patch: Patch, parts: Parts) -> None:
    real = attempt.decide

    def decide(found: Any, *, finished_attempt: int = 0) -> Any:
        made = real(found, finished_attempt=finished_attempt)
        return replace(made, attempt=1) if isinstance(made, Start) else made

    patch.setattr(engine, "decide", decide)


def protection_is_respected(patch: Patch, parts: Parts) -> None:
    def terminate(self: EmrClient, cluster_ids: Any, *, why: str) -> None:
        if cluster_ids:
            with client._faults():
                self._emr.terminate_job_flows(JobFlowIds=list(cluster_ids))

    patch.setattr(EmrClient, "terminate", terminate)


def nothing_ends_on_sigterm(patch: Patch, parts: Parts) -> None:
    parts.ends_on_kill = False


def nothing_ends_with_a_deferred_task(patch: Patch, parts: Parts) -> None:
    parts.happens, parts.ends_deferred = "mark_failed", False


def what_the_list_hides_is_not_ended(patch: Patch, parts: Parts) -> None:
    parts.happens = "mark_failed"
    patch.setattr(Notes, "known", property(lambda self: ""))


def the_deadline_ends_nothing(patch: Patch, parts: Parts) -> None:
    patch.setattr(Engine, "_end", lambda *_: [])


def whatever_has_ended_is_a_success(patch: Patch, parts: Parts) -> None:
    parts.verdict = lambda *_, **__: None


def the_wait_takes_silence_for_an_end(patch: Patch, parts: Parts) -> None:
    patch.setattr(Watch, "_next", lambda self: self._event("ended", state="?"))
    patch.setattr(Engine, "_ended", lambda self, cluster: self._reported(cluster.cluster_id))


def the_janitor_looks_away(patch: Patch, parts: Parts) -> None:
    patch.setattr(Sweep, "end", lambda *_: [])


def an_old_list_is_trusted(patch: Patch, parts: Parts) -> None:
    patch.setattr(engine, "_FRESH", timedelta(days=1))


MUTANTS: tuple[Break, ...] = (
    botocore_repeats_the_start,
    a_lost_answer_is_called_for_again_at_once,
    a_lost_answer_is_looked_into_once,
    an_intent_is_not_waited_for,
    a_claim_is_not_looked_at_again,
    twins_are_left_alone,
    work_that_was_not_reported_is_done_again,
    work_that_was_asked_to_end_is_done_again,
    what_is_marked_is_taken_for_ended,
    steps_added_by_hand_count,
    a_success_is_not_noted,
    a_lost_store_makes_all_work_old,
    a_name_is_used_again,
    protection_is_respected,
    nothing_ends_on_sigterm,
    nothing_ends_with_a_deferred_task,
    what_the_list_hides_is_not_ended,
    the_deadline_ends_nothing,
    whatever_has_ended_is_a_success,
    the_wait_takes_silence_for_an_end,
    the_janitor_looks_away,
    an_old_list_is_trusted,
)
