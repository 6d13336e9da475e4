"""`sluicegate recover apply`: a plan, carried out on a person's word."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.airflow_options import (
    AirflowOptions,
    StateOption,
    TokenFileOption,
    UrlOption,
    UserOption,
    connected,
)
from sluicegate.cli.console import console, failing, stop_on_sigterm
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from rich.console import Console

    from sluicegate.recovery.definition import Plan
    from sluicegate.recovery.progress import Options, Outcome
    from sluicegate.recovery.site_rest import RestSite

__all__ = ["apply"]

_LEFT_OVER = 1


def apply(
    plan: Annotated[Path, typer.Argument(help="The file that `recover plan` wrote.")],
    yes: Annotated[
        str | None, typer.Option(metavar="ID", help="The plan's id, for scripts: nothing is asked then.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is in the note on everything that is reset.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Runs that are under way at once, at most.")] = 50,
    chunk: Annotated[int, typer.Option(min=1, max=200, help="Runs that are read by one call before a reset.")] = 50,
    canary: Annotated[
        bool, typer.Option("--canary", help="First one run of each cause; the others once it succeeded.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be reset now, and what not.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="After a new failure, hold back only what depends on it.")
    ] = False,
    skip_forbidden: Annotated[
        bool, typer.Option("--skip-forbidden", help="Leave alone DAGs whose tasks you must not clear, and go on.")
    ] = False,
    latest_version: Annotated[
        bool,
        typer.Option("--latest-version", help="Run the latest version of the DAGs' bundle, not that of the run."),
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take the plan from a process that is dead: make sure that it is.")
    ] = False,
    without_marker: Annotated[
        bool, typer.Option("--without-marker", help="Write no Variable: nothing keeps a second operator away then.")
    ] = False,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds that Airflow may still work on a request whose answer was lost.")
    ] = 30,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds after which an Airflow that does not answer is given up.")
    ] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, all else on stderr.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Carry out a plan, wave by wave. Once more resumes it: what was reset is never reset twice.

    Ends with 1 when something has failed again or was left over.
    """
    from sluicegate.recovery.on_word import check_server, check_word
    from sluicegate.recovery.plan_file import read_plan
    from sluicegate.recovery.planning import myself
    from sluicegate.recovery.progress import Options, Outcome
    from sluicegate.recovery.site_rest import RestSite

    stop_on_sigterm()
    out = console(err=as_json)
    with failing():
        made = read_plan(plan)
        if yes is not None:
            check_word(made, yes, reason)
        elif not dry_run and not sys.stdin.isatty():
            wrong_use("recover apply", f"without a terminal, say --yes {made.id} --reason TEXT")
        with connected(AirflowOptions(url, token_file, user, state), deadline=patience) as client:
            check_server(made, client.url)
            site = RestSite(client, made.runs)
            _show(made, site.version(), out)
            if not made.instances:
                _report(made, site, Outcome(made.id, is_finished=True), out, as_json=as_json)
                return
            if yes is None and not dry_run:
                reason = _asked(made, reason, err=as_json)
            options = Options(
                who=user or myself(),
                reason=reason or "",
                parallel=parallel,
                chunk=chunk,
                canary=canary,
                keep_going=keep_going,
                skip_forbidden=skip_forbidden,
                take_over=take_over,
                latest_version=latest_version,
                marked=not without_marker,
                settle=settle,
            )
            outcome = _rehearsed(made, site, options, out) if dry_run else _carried_out(made, plan, site, options, out)
            _report(made, site, outcome, out, as_json=as_json)
    if not dry_run and not outcome.is_good:
        raise typer.Exit(_LEFT_OVER)


def _show(plan: Plan, version: str, out: Console) -> None:
    from sluicegate.recovery.explain import headline, warnings_in_words, waves_in_words

    out.print(headline(plan))
    for line in waves_in_words(plan):
        out.print(line)
    for line in warnings_in_words(plan):
        out.print(line)
    if version != plan.server.version:
        out.print(f"  ! Airflow is {version} now; the plan was made with {plan.server.version}.")


def _asked(plan: Plan, reason: str | None, *, err: bool) -> str:
    """The reason, once the plan's id was typed. Ends the command where it was not."""
    typed = typer.prompt(f"To carry it out, type its id ({plan.id})", default="", show_default=False, err=err)
    if typed.strip() != plan.id:
        wrong_use("recover apply", "that is not the plan's id: nothing was changed")
    found = reason or typer.prompt("Why (for the notes)", default="", show_default=False, err=err)
    if not found.strip():
        wrong_use("recover apply", "a reason is needed: nothing was changed")
    return str(found)


def _rehearsed(plan: Plan, site: RestSite, options: Options, out: Console) -> Outcome:
    from sluicegate.recovery.rehearse import rehearse

    outcome = rehearse(plan, site, options)
    out.print(f"Would reset or wait for {len(outcome.not_reached)} of {len(plan.instances)}; nothing was changed.")
    return outcome


def _carried_out(plan: Plan, file: Path, site: RestSite, options: Options, out: Console) -> Outcome:
    from datetime import UTC, datetime

    from sluicegate.cli.recover_view import shown
    from sluicegate.recovery.carry_out import carry_out
    from sluicegate.recovery.journal import Journal, journal_of, store_of

    journal = Journal(store_of(file, plan.id), plan.id, datetime.now(UTC))
    if journal.is_resumed:
        out.print(f"Going on where {journal_of(file)} ends.")
    try:
        with shown(out) as on_change:
            return carry_out(plan, site, journal, options, on_change=on_change)
    except KeyboardInterrupt:
        out.print(f"Stopped. What is under way goes on in Airflow; `sluicegate recover apply {file}` resumes the plan.")
        raise


def _report(plan: Plan, site: RestSite, outcome: Outcome, out: Console, *, as_json: bool) -> None:
    from sluicegate.recovery.findings import as_json as in_json
    from sluicegate.recovery.findings import failures, lines

    failed = failures(outcome, site.last_error)
    for line in lines(plan, outcome, failed):
        out.print(line)
    if outcome.is_good and plan.afterwards:
        out.print("Now run:")
        for command in plan.afterwards:
            out.print(f"  {command}")
    if as_json:
        typer.echo(json.dumps(in_json(plan, outcome, failed), indent=2))
