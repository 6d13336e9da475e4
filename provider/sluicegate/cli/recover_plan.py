"""`sluicegate recover plan`: what would run again, why and in which order. Changes nothing in Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
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
from sluicegate.cli.console import console, failing
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.recovery.definition import Plan
    from sluicegate.recovery.request import Request

__all__ = ["plan", "show_plan"]


def plan(
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", "-p", help="Only this DAG; a glob such as 'fl*' means several.")
    ] = None,
    owner: Annotated[list[str] | None, typer.Option(help="Only DAGs of this owner.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only DAGs with this tag.")] = None,
    window: Annotated[
        str | None,
        typer.Option(help="Only runs whose window begins in it, in UTC: 2026-01-01..2026-01-07, or one day."),
    ] = None,
    failed_since: Annotated[
        str | None, typer.Option(help="Only what failed since then: 2026-01-05T02:00, or a time ago: 12h, 3d.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only failures of this task; a glob.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="Only this fault (SOURCE_MISSING) or class (data, transient, fatal).")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only failures of this kind of step: load, spark, transform, python, wait.")
    ] = None,
    started_before: Annotated[
        str | None, typer.Option(help="Only what has started before then: a time, or a time ago such as 3h.")
    ] = None,
    run: Annotated[list[str] | None, typer.Option(help="Only this run: DAG/RUN_ID.")] = None,
    include_running: Annotated[
        bool, typer.Option("--include-running", help="Also what runs or waits: it is stopped and begins anew.")
    ] = False,
    mark_success: Annotated[
        bool, typer.Option("--mark-success", help="Mark what failed as success, and run what comes after it.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Mark what failed, and what comes after it, as skipped.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Steps do their work even where it is done; Spark begins with a new cluster."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The data was wrong: run again what read this dataset (flights.raw), or this pipeline itself.",
        ),
    ] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="With --from: also what reads the outcome of that, and so on.")
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(help="With --from: a step with effects outside to run as well, as DAG.TASK; a glob."),
    ] = None,
    then: Annotated[
        list[str] | None, typer.Option(help="A command to run once the plan is done; `apply` shows it at its end.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The plan's file; recovery-ID.json if it is not given.")
    ] = None,
    graph: Annotated[Path | None, typer.Option(help="Also draw the plan: a .svg, .png, .mmd or .dot file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON, and write a file only with -o.")
    ] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Show what would run again, why and in which order, and write it to a file for `recover apply`.

    Without filters: everything that failed. Filters of different kinds narrow each other.
    """
    from sluicegate.recovery.planning import plan as make
    from sluicegate.recovery.request import Request, Treatment, moment, run_key, window_of

    if mark_success and skip:
        wrong_use("recover plan", "--mark-success and --skip are given: choose one.")
    if (downstream or include) and source is None:
        wrong_use("recover plan", "--downstream and --include belong to --from.")
    if graph is not None:
        _check_picture(graph)
    with failing():
        request = Request(
            pipelines=tuple(pipeline or ()),
            owners=tuple(owner or ()),
            tags=tuple(tag or ()),
            window=None if window is None else window_of(window),
            failed_since=None if failed_since is None else moment(failed_since, datetime.now(UTC)),
            tasks=tuple(task or ()),
            faults=tuple(fault or ()),
            kinds=tuple(kind or ()),
            started_before=None if started_before is None else moment(started_before, datetime.now(UTC)),
            runs=tuple(map(run_key, run or ())),
            include_running=include_running,
            treatment=Treatment.SUCCEED if mark_success else Treatment.SKIP if skip else Treatment.RESET,
            force=force,
            source=source,
            downstream=downstream,
            include=tuple(include or ()),
            afterwards=tuple(then or ()),
        )
        with connected(AirflowOptions(url, token_file, user, state)) as client:
            made = make(client, request)
        show_plan(made, request, output=output, graph=graph, as_json=as_json)


def show_plan(
    made: Plan, request: Request, *, output: Path | None = None, graph: Path | None = None, as_json: bool = False
) -> Path | None:
    """Print a plan, write its file and draw it where that is asked for; the file, where there is one."""
    from sluicegate.recovery.explain import explain, left_in_words, warnings_in_words
    from sluicegate.recovery.plan_file import as_text, write_plan

    file = output or Path(f"recovery-{made.id}.json")
    if as_json:
        if output is not None:
            write_plan(made, output)
        if graph is not None:
            _draw(made, graph)
        typer.echo(as_text(made), nl=False)
        return output
    out = console()
    if not made.instances:
        out.print(f"Nothing to recover: {_nothing(request)}.")
        if made.left_alone:
            out.print("Left alone:")
        for line in left_in_words(made.left_alone):
            out.print(line)
        for line in warnings_in_words(made):
            out.print(line)
        return None
    write_plan(made, file)
    if graph is not None:
        _draw(made, graph)
    for line in explain(made):
        out.print(line)
    out.print()
    out.print(f"Nothing has been changed. To carry it out: sluicegate recover apply {file}")
    return file


def _nothing(request: Request) -> str:
    if request.source is not None:
        return f"nothing that can run again has read {request.source} in that window"
    return "nothing failed that matches" if request.words() else "nothing failed"


def _draw(made: Plan, graph: Path) -> None:
    from sluicegate.cli.pictures import drawn_as, format_of, write_picture
    from sluicegate.recovery.drawing import picture_of

    shape = format_of(graph, None, command="recover plan")
    write_picture(graph, drawn_as(shape, picture_of(made), command="recover plan"), command="recover plan")


def _check_picture(graph: Path) -> None:
    """Before minutes are spent on a plan that cannot be drawn."""
    from sluicegate.cli.pictures import format_of

    format_of(graph, None, command="recover plan")
