"""`sluicegate up`, `down` and `put`: the embedded stack, started, stopped and given a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.console import console, failing, progress, stop_on_sigterm

if TYPE_CHECKING:
    from rich.console import Console

    from sluicegate.local.stack.stack import Stack

StateOption = Annotated[Path, typer.Option(help="State folder.")]


def up(
    dags: Annotated[Path, typer.Option(help="Folder with the pipelines.")] = Path("dags"),
    state: StateOption = Path(".sluicegate"),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the UI; else 8080 or any free one.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach/--foreground", help="Return when it is up, or stay until Ctrl-C.")
    ] = False,
) -> None:
    """Start Postgres, Airflow and a local AWS that runs Spark, all on this machine."""
    from sluicegate.local.stack.stack import Stack

    stop_on_sigterm()
    out = console()
    with failing(out):
        stack = Stack(state, dags, port=port, detached=detach)
        show = progress(out)
        stack.start(show)
        _say_where(out, stack)
        if detach:
            out.print("`sluicegate down` stops it.", markup=False)
            return
        out.print("Ctrl-C stops it.", markup=False)
        try:
            stack.wait(show)
        except KeyboardInterrupt:
            stack.stop(show)


def down(state: StateOption = Path(".sluicegate")) -> None:
    """Stop what `sluicegate up` started, and whatever a killed one has left behind."""
    from sluicegate.local.stack.stack import Stack

    out = console()
    with failing(out):
        stack = Stack(state)
        folder = stack.state.root
        if stack.stop(progress(out)):
            out.print(f"The stack on {folder} has stopped.", markup=False)
        else:
            out.print(f"Nothing was running on {folder}.", markup=False)


def put(
    file: Annotated[Path, typer.Argument(help="A file of yours.", exists=True, dir_okay=False, readable=True)],
    uri: Annotated[str, typer.Argument(help="Where to: s3://bucket/key; with a / at the end the file keeps its name.")],
    run: Annotated[str | None, typer.Option(help="Then run this pipeline, and wait for it.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value for that run.")] = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Put a file into the local S3 of the stack that runs, for a pipeline to load."""
    from sluicegate.api.run_and_wait import run_pipeline
    from sluicegate.local.stack.errors import NotRunning
    from sluicegate.local.stack.objects import put_file
    from sluicegate.local.stack.stack import running

    out = console()
    with failing(out):
        stack = running(state)
        if stack is None:
            raise NotRunning(f"No stack runs on {state}.", "Start one with `sluicegate up`, or say which with --state.")
        written = put_file(stack, file, uri)
        out.print(f"{file} is now {written}", markup=False)
        if run is not None:
            with stack.api() as client:
                for line in run_pipeline(client, run, param or ()):
                    out.print(line, markup=False)
            return
        out.print(
            f"A pipeline that waits for it goes on by itself; start any other at {stack.airflow_url}, "
            f"or give a pipeline of yours a step with `load: {written}`.",
            markup=False,
        )


def _say_where(out: Console, stack: Stack) -> None:
    from sluicegate.local.stack.airflow import ADMIN

    rows = {
        "Airflow": f"{stack.airflow_url}  (user {ADMIN}, its password is in {stack.state.passwords})",
        "warehouse": f"{stack.warehouse_url}  (its password is in {stack.state.secrets})",
        "S3 and EMR": stack.aws_endpoint,
        "pipelines": stack.run.dags,
        "logs": str(stack.state.logs),
    }
    for name, where in rows.items():
        out.print(f"{name:<11} {where}", markup=False)
