"""Nights are recovered in the real Airflow: in order, everything once more, and nothing else.

This changes the nights for good: it comes after the files that look at how they failed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import Action, Plan
from sluicegate.recovery.journal import FileStore, Journal, journal_of
from sluicegate.recovery.marker import claims
from sluicegate.recovery.plan_file import read_plan, write_plan
from sluicegate.recovery.planning import plan as make
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.request import Request
from sluicegate.recovery.site_rest import RestSite
from sluicegate.testing.airflow import wait_until
from tests.recovery.night import Airflow, Key, Night, key_of

OPTIONS = Options("ada", "the source was late", longest_poll=2, look=5)


def recover(airflow: Airflow, night: Night, file: Path) -> tuple[Plan, Outcome]:
    """Plan, mend the cause, apply."""
    with airflow.stack.api() as client:
        made = make(client, Request(pipelines=night.dags))
        write_plan(made, file)
        night.mend()
        store = FileStore(journal_of(file))
        journal = Journal(store, made.id, datetime.now(UTC))
        outcome = carry_out(read_plan(file), RestSite(client, made.runs), journal, OPTIONS)
        store.close()
    return made, outcome


def planned(plan: Plan, action: Action) -> set[Key]:
    return {Key(each.dag, each.run, each.task, each.index) for each in plan.instances if each.action is action}


@pytest.mark.parametrize("name", ["bad_night", "diamond", "thirty_days", "half_mapped", "undone"])
def test_a_night_is_recovered_in_order_and_each_task_runs_once_more(
    night: Callable[[str], Night], airflow: Airflow, tmp_path: Path, name: str
) -> None:
    failed = night(name)
    by_itself = failed.keys(lambda each: each["state"] is None)  # waits for the day before, in a run that goes on
    made, outcome = recover(airflow, failed, tmp_path / "plan.json")
    assert outcome.is_good, outcome
    failed.obeys()
    cleared = planned(made, Action.CLEAR)
    wait_for_all(failed, by_itself)
    failed.ran_once_more(cleared | by_itself)
    notes = {each["note"] for each in airflow.of_dags(failed.dags) if key_of(each) in cleared}
    assert all(each.startswith(f"sluicegate recovery {made.id}, wave ") for each in notes)
    assert all(each.endswith(", by ada: the source was late") for each in notes)
    with airflow.stack.api() as client:
        claim = claims(RestSite(client))[made.id]
    assert (claim.state, claim.who, claim.waves) == ("finished", "ada", len(made.waves))


def test_a_trigger_is_marked_once_its_child_succeeded_and_what_comes_after_it_runs(
    night: Callable[[str], Night], airflow: Airflow, tmp_path: Path
) -> None:
    failed = night("triggered")
    made, outcome = recover(airflow, failed, tmp_path / "plan.json")
    assert outcome.is_good, outcome
    [trigger] = planned(made, Action.MARK_SUCCESS)
    assert trigger.task == "call"
    failed.ran_once_more(planned(made, Action.CLEAR))
    assert airflow.task(trigger.dag, trigger.run, trigger.task)["note"].startswith(f"sluicegate recovery {made.id}")
    assert {each["state"] for dag in failed.dags for each in airflow.runs(dag)} == {"success"}


def wait_for_all(night: Night, keys: set[Key]) -> None:
    def is_over() -> bool:
        return keys <= night.keys(lambda each: each["state"] == "success")

    wait_until(is_over, 60, "what goes on by itself to end")
