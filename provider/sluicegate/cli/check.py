"""`sluicegate check`: every diagnostic of the pipeline files given, once or whenever one of them changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.findings import look_at, playbooks_folder
from sluicegate.cli.formats import CheckFormat, report
from sluicegate.cli.places import WRONG_USE, existing, root_of, shown

__all__ = ["CheckFormat", "check"]


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files and folders; `dags` if none is given.")
    ] = None,
    format: Annotated[CheckFormat, typer.Option(help="How errors are shown.")] = CheckFormat.TEXT,  # noqa: A002
    root: Annotated[
        Path | None, typer.Option(help="The dags root; the nearest folder named `dags` if it is not given.")
    ] = None,
    playbooks: Annotated[
        Path | None,
        typer.Option(help="The folder of playbooks; if it is not given, the one that Airflow's configuration names."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Check again whenever a file changes, until Ctrl-C.")] = False,
) -> None:
    """Check pipeline files. Exit code 1 when there is an error, 2 when a path or any pipeline file is missing."""
    given = existing(paths, root, "check")

    def once() -> int:
        found = look_at(given, root, playbooks)
        report(found, format)
        if not found.files and not found.left_alone:
            told = ", ".join(shown(path) for path in given)
            typer.echo(
                f"sluicegate check: there are no pipeline files in {told}: files *.yaml or *.yml with a line that "
                "begins with `sluicegate:`",
                err=True,
            )
            return WRONG_USE
        return int(any(diagnostic.is_error or strict for diagnostic in found.diagnostics))

    if watch:
        from sluicegate.cli.watch import keep_checking

        roots = {(root or root_of(path)).absolute() for path in given}
        keep_checking(once, [*roots, *(playbooks or playbooks_folder(each) for each in roots)])
    if code := once():
        raise typer.Exit(code)
