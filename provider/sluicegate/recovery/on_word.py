"""A plan is carried out on a person's word: its id and a reason, for this Airflow. There is no other way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.recovery.errors import WrongPlan, WrongRequest
from sluicegate.recovery.plan_file import write_plan
from sluicegate.recovery.planning import myself

if TYPE_CHECKING:
    from sluicegate.api.client import Client
    from sluicegate.recovery.definition import Plan
    from sluicegate.recovery.progress import OnChange, Outcome

__all__ = ["apply", "check_server", "check_word"]


def apply(
    plan: Plan,
    client: Client,
    *,
    yes: str,
    reason: str,
    file: Path | None = None,
    parallel: int = 50,
    canary: bool = False,
    keep_going: bool = False,
    on_change: OnChange = lambda _: None,
) -> Outcome:
    """Carry out a plan wave by wave, or what is left of it; what is under way when it stops goes on in Airflow.

    :param yes: the plan's id, as a person has given it
    :param reason: why; it is in the note on everything that is reset
    :param file: the plan's, with the journal beside it; `recovery-ID.json` unless given, and written if it is not there
    :param parallel: how many runs are under way at once, at most
    :param canary: first one run of each cause
    :param keep_going: after a new failure, hold back only what depends on it
    :param on_change: is called with how far it is
    :raises WrongRequest: for another id, or without a reason
    :raises WrongPlan: when the plan was made for another Airflow, or its file cannot be written
    :raises PlanInUse: when somebody else carries out this plan, or one with a DAG in common
    :raises ApiError: as `Client` does; the same call resumes the plan
    """
    from sluicegate.recovery.carry_out import carry_out
    from sluicegate.recovery.journal import Journal, store_of
    from sluicegate.recovery.progress import Options
    from sluicegate.recovery.site_rest import RestSite

    check_word(plan, yes, reason)
    check_server(plan, client.url)
    place = file or Path(f"recovery-{plan.id}.json")
    if not place.exists():
        write_plan(plan, place)
    store = store_of(place, plan.id)
    try:
        journal = Journal(store, plan.id, datetime.now(UTC))
        options = Options(who=myself(), reason=reason, parallel=parallel, canary=canary, keep_going=keep_going)
        return carry_out(plan, RestSite(client, plan.runs), journal, options, on_change=on_change)
    finally:
        store.close()


def check_word(plan: Plan, yes: str, reason: str | None) -> None:
    """:raises WrongRequest: unless `yes` is the plan's id and there is a reason"""
    if yes != plan.id:
        raise WrongRequest(f"{yes!r} is not the id of this plan, {plan.id}.", "Nothing was changed.")
    if not (reason or "").strip():
        raise WrongRequest(
            "A plan needs a --reason as well (`reason` in a script): it is in the note on everything that is reset.",
            "Nothing was changed.",
        )


def check_server(plan: Plan, url: str) -> None:
    """:raises WrongPlan: when the plan was not made for the Airflow at `url`"""
    if plan.server.url.rstrip("/") != url.rstrip("/"):
        raise WrongPlan(
            f"{plan.id} was made for the Airflow at {plan.server.url}, and this one is {url}.",
            f"Give --url {plan.server.url}, or make a plan for this one.",
        )
