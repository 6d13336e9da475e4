"""`sluicegate alerts`: what was sent and what was not, and a trial of a pipeline's channels."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app"]

_COMMANDS = {
    "list": Entry("alerts_list", "list_alerts", "List alerts, sent and undelivered, the newest first."),
    "test": Entry("alerts_trial", "try_channels", "Send a test message by the channels of a pipeline."),
}

app = typer.Typer(cls=lazy_group(_COMMANDS), add_completion=False, no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """List the alerts of pipelines, and try their channels."""
