"""How commands show mistakes to people: each at its place, with its line and a caret, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from sluicegate.pipeline.diagnostics import Mistake, draw

__all__ = ["tell"]


def tell(mistakes: Iterable[Mistake], *, err: bool = False) -> None:
    """Print all of them; with `err` to standard error, where standard output is the result."""
    for mistake in mistakes:
        head, *rest = draw(mistake, Path.cwd()).splitlines()
        colour = typer.colors.RED if mistake.is_error else typer.colors.YELLOW
        label = f"{mistake.severity}[{mistake.code}]"
        typer.echo("\n".join([head.replace(label, typer.style(label, fg=colour, bold=True), 1), *rest, ""]), err=err)
