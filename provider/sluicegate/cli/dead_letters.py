"""`sluicegate dead-letters`: records that loads have set aside, and what becomes of them."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app"]

_COMMANDS = {
    "list": Entry("dead_letters_read", "list_letters", "List them, the oldest first."),
    "show": Entry("dead_letters_read", "show", "Show all that is known of one."),
    "export": Entry("dead_letters_read", "export", "Write them to a file, a line of JSON each, to edit and replay."),
    "replay": Entry("dead_letters_replay", "replay", "Bring them in by the way of a load, mended or as they are."),
    "discard": Entry("dead_letters_close", "discard", "Close them: they are not needed. Says who and why."),
    "resolve": Entry("dead_letters_close", "resolve", "Close them: they were seen to by other means."),
}

app = typer.Typer(cls=lazy_group(_COMMANDS), add_completion=False, no_args_is_help=True)


@app.callback()
def _dead_letters() -> None:
    """List, show, replay or close the records that loads have set aside."""
