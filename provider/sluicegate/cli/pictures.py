"""Pictures as files: the format by the name of the file, drawn, written, with what a command says where it cannot."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer

from sluicegate.cli.places import shown, wrong_use
from sluicegate.picture import Picture, dot, mermaid

__all__ = ["GraphFormat", "drawn_as", "format_of", "write_picture"]

_OUT_OF_REACH = 3


class GraphFormat(StrEnum):
    SVG = "svg"
    PNG = "png"
    MERMAID = "mermaid"
    DOT = "dot"


_SUFFIXES = {
    ".svg": GraphFormat.SVG,
    ".png": GraphFormat.PNG,
    ".mmd": GraphFormat.MERMAID,
    ".mermaid": GraphFormat.MERMAID,
    ".dot": GraphFormat.DOT,
    ".gv": GraphFormat.DOT,
}


def format_of(output: Path | None, asked: GraphFormat | None, *, command: str) -> GraphFormat:
    """The format asked for, else that of the file's suffix, else Mermaid; ends the command where none fits."""
    if asked is GraphFormat.PNG and output is None:
        wrong_use(command, "a PNG needs a file to be written to: -o FILE.png")
    if asked is not None:
        return asked
    if output is None:
        return GraphFormat.MERMAID
    if output.suffix.lower() not in _SUFFIXES:
        wrong_use(command, f"{output} has none of the suffixes {', '.join(_SUFFIXES)}: say --format")
    return _SUFFIXES[output.suffix.lower()]


def drawn_as(shape: GraphFormat, picture: Picture, *, command: str) -> str | bytes:
    """The picture's file; ends the command with 3 where SVG and PNG are not installed."""
    if shape is GraphFormat.MERMAID:
        return mermaid(picture)
    if shape is GraphFormat.DOT:
        return dot(picture)
    try:
        from sluicegate.picture.png import png
        from sluicegate.picture.svg import svg

        return png(picture) if shape is GraphFormat.PNG else svg(picture)
    except ModuleNotFoundError as missing:
        typer.echo(
            f"sluicegate {command}: a picture needs the extra `graph` ({missing.name} is not installed): "
            "pip install 'airflow-provider-sluicegate[graph]'. Mermaid and DOT need nothing: name a file .mmd or .dot",
            err=True,
        )
        raise typer.Exit(_OUT_OF_REACH) from missing


def write_picture(output: Path, drawn: str | bytes, *, command: str) -> None:
    """Write it; ends the command where it cannot be written."""
    try:
        output.write_bytes(drawn if isinstance(drawn, bytes) else drawn.encode())
    except OSError as error:
        wrong_use(command, f"{shown(output)} cannot be written: {error.strerror}")
    if sys.stdout.isatty():
        typer.echo(f"{shown(output)} is written")
