"""`sluicegate recover`: what failed runs again, in order, on a person's word."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app"]

_COMMANDS = {
    "plan": Entry("recover_plan", "plan", "Show what would run again, why and in which order, and write it to a file."),
    "apply": Entry("recover_apply", "apply", "Carry out a plan, wave by wave; once more to resume it."),
    "status": Entry("recover_status", "status", "List the plans that are or were carried out in this Airflow."),
}

app = typer.Typer(cls=lazy_group(_COMMANDS), add_completion=False, no_args_is_help=True)


@app.callback()
def _recover() -> None:
    """Run again what failed, in order: plan it, carry it out, see how far it is."""
