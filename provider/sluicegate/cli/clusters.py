"""`sluicegate clusters`: the EMR clusters that run, and those among them that no task needs any more."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app"]

_COMMANDS = {
    "list": Entry("clusters_list", "list_clusters", "List those that run: whom they work for, and until when."),
    "sweep": Entry("clusters_sweep", "sweep", "Say which ones no task needs any more; with --yes, end them."),
}

app = typer.Typer(cls=lazy_group(_COMMANDS), add_completion=False, no_args_is_help=True)


@app.callback()
def _clusters() -> None:
    """List the EMR clusters that run, and end those that no task needs any more."""
