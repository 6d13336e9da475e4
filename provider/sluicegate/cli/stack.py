"""`sluicegate up`, `down`, `put` and `exec`: the embedded stack, started, stopped, given a file or a command."""

from __future__ import annotations

import os
import sys
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
    chaos: Annotated[
        str | None,
        typer.Option(
            metavar="[PLAN]", help="Let the local EMR go wrong, as in throttling=0.2,seed=7; alone by its default."
        ),
    ] = None,
) -> None:
    """Start Postgres, Airflow and a local AWS that runs Spark, all on this machine."""
    from sluicegate.local.stack.stack import Stack

    stop_on_sigterm()
    out = console()
    with failing():
        stack = Stack(state, dags, port=port, detached=detach, chaos=_plan(chaos))
        show = progress(out)
        stack.start(show)
        _say_where(out, stack)
        if detach:
            out.print("`sluicegate down` stops it.")
            return
        out.print("Ctrl-C stops it.")
        try:
            stack.wait(show)
        except KeyboardInterrupt:
            stack.stop(show)


def _plan(chaos: str | None) -> str:
    """The plan in full, as the supervisor gets it; empty for none."""
    from sluicegate.local.aws.plan import Plan, PlanError
    from sluicegate.local.stack.errors import WrongUse

    if chaos is None:
        return ""
    try:
        return str(Plan.parse(chaos))
    except PlanError as error:
        raise WrongUse(
            f"--chaos: {error}", "`--chaos` alone takes the default plan; docs/clusters.md has it."
        ) from error


def down(state: StateOption = Path(".sluicegate")) -> None:
    """Stop what `sluicegate up` started, and whatever a killed one has left behind."""
    from sluicegate.local.stack.stack import Stack

    out = console()
    with failing():
        stack = Stack(state)
        folder = stack.state.root
        if stack.stop(progress(out)):
            out.print(f"The stack on {folder} has stopped.")
        else:
            out.print(f"Nothing was running on {folder}.")


def put(
    file: Annotated[Path, typer.Argument(help="A file of yours.", exists=True, dir_okay=False, readable=True)],
    uri: Annotated[str, typer.Argument(help="Where to: s3://bucket/key; with a / at the end the file keeps its name.")],
    run: Annotated[str | None, typer.Option(help="Then run this pipeline, and wait for it.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value for that run.")] = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Put a file into the local S3 of the stack that runs, for a pipeline to load."""
    from sluicegate.api.run_and_wait import run_pipeline
    from sluicegate.local.stack.objects import put_file
    from sluicegate.local.stack.stack import running

    out = console()
    with failing():
        stack = _running(running(state), state)
        written = put_file(stack, file, uri)
        out.print(f"{file} is now {written}")
        if run is not None:
            with stack.api() as client:
                for line in run_pipeline(client, run, param or ()):
                    out.print(line)
            return
        out.print(
            f"A pipeline that waits for it goes on by itself; start any other at {stack.airflow_url}, "
            f"or give a pipeline of yours a step with `load: {written}`."
        )


def execute(
    command: Annotated[list[str] | None, typer.Argument(help="A command; a shell if none is given.")] = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Run a command, for instance `airflow`, in the environment of the stack that runs. Ends with its exit code."""
    from sluicegate.local.stack.errors import WrongUse
    from sluicegate.local.stack.stack import running

    with failing():
        stack = _running(running(state), state)
        # The commands of this installation first: `airflow` belongs to the stack also where no environment is active.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        words = command or [os.environ.get("SHELL", "/bin/sh")]
        try:
            os.execvpe(words[0], words, {**stack.env, "PATH": path})  # noqa: S606 (the user's own command)
        except OSError as error:
            raise WrongUse(f"{words[0]} cannot be run: {error.strerror}.", "Write it as in a shell.") from error


def _running(stack: Stack | None, state: Path) -> Stack:
    from sluicegate.local.stack.errors import NotRunning

    if stack is None:
        raise NotRunning(f"No stack runs on {state}.", "Start one with `sluicegate up`, or say which with --state.")
    return stack


def _say_where(out: Console, stack: Stack) -> None:
    from sluicegate.local.stack.where import where

    for name, line in where(stack).items():
        out.print(f"{name:<11} {line}")
