"""`sluicegate runs`: what ran, and what made it."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app"]

_COMMANDS = {
    "list": Entry("runs_read", "list_runs", "List runs with their status and counts, the latest first."),
    "show": Entry("runs_read", "show", "Show what code, configuration and input made a run, step by step."),
    "diff": Entry("runs_diff", "diff", "Say in words what differs between two runs: why did a number change?"),
}

app = typer.Typer(cls=lazy_group(_COMMANDS), add_completion=False, no_args_is_help=True)


@app.callback()
def _runs() -> None:
    """List runs, show what made one, say why a number changed between two."""
