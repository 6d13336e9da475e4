"""How commands show diagnostics to people: each at its place, with its line and a caret, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from sluicegate.pipeline.diagnostics import Diagnostic, draw

__all__ = ["print_diagnostics"]


def print_diagnostics(diagnostics: Iterable[Diagnostic], *, err: bool = False) -> None:
    """Print all of them; with `err` to standard error, where standard output is the result."""
    for diagnostic in diagnostics:
        head, *rest = draw(diagnostic, Path.cwd()).splitlines()
        colour = typer.colors.RED if diagnostic.is_error else typer.colors.YELLOW
        label = f"{diagnostic.severity}[{diagnostic.code}]"
        typer.echo("\n".join([head.replace(label, typer.style(label, fg=colour, bold=True), 1), *rest, ""]), err=err)
