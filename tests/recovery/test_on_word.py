"""A team's own script: a plan is carried out only for its id and a reason, in the Airflow that it was made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sluicegate.recovery import Request, apply, plan
from sluicegate.recovery.definition import Server
from sluicegate.recovery.errors import WrongPlan, WrongRequest
from sluicegate.recovery.plan_file import sealed
from tests.recovery.rest import RestOf
from tests.recovery.test_order import two_levels


@pytest.mark.parametrize(("yes", "reason"), [("yes", "it came"), ("", "it came"), ("ID", ""), ("ID", "  ")])
def test_without_the_plans_id_and_a_reason_nothing_is_done(yes: str, reason: str, tmp_path: Path) -> None:
    client = RestOf(two_levels())
    made = plan(client, Request())
    asked = len(client.calls)
    with pytest.raises(WrongRequest):
        apply(made, client, yes=yes.replace("ID", made.id), reason=reason, file=tmp_path / "plan.json")
    assert len(client.calls) == asked
    assert not list(tmp_path.iterdir())


def test_a_plan_of_another_airflow_is_refused(tmp_path: Path) -> None:
    client = RestOf(two_levels())
    other = sealed(replace(plan(client), server=Server("http://other.test", "3.3.2")))
    with pytest.raises(WrongPlan, match=r"was made for the Airflow at http://other\.test") as error:
        apply(other, client, yes=other.id, reason="it came", file=tmp_path / "plan.json")
    assert "--url http://other.test" in error.value.remedy
