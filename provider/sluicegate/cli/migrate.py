"""`sluicegate import dag-factory`: other factories' files as pipeline files, with notes on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.migrate import Converted, Known, Note, Options, convert
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, draw
from sluicegate.pipeline.walk import SUFFIXES

__all__ = ["app"]

_LOST, _WRONG_USE = 1, 2

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _import() -> None:
    """Turn the files of another DAG factory into pipeline files."""


@app.command("dag-factory")
def dag_factory(
    files: Annotated[list[Path], typer.Argument(help="Files of dag-factory 1.1, or folders of them.", exists=True)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the pipelines.")] = Path("dags"),
    force: Annotated[bool, typer.Option("--force", help="Write over pipelines that are there.")] = False,
) -> None:
    """Write a pipeline file for each DAG; report, with file:line, what is different there or left out.

    Ends with 1 when something could not be converted, with 2 when a file is there already.
    """
    made: list[Converted] = []
    diagnostics: list[Diagnostic] = []
    for file in _yaml_files(files):
        options = Options(_known, datetime.now(UTC).date(), [pipeline.name for pipeline in made])
        try:
            found, wrong = convert(file, options)
        except PipelineErrors as errors:
            found, wrong = [], list(errors.diagnostics)
        made += found
        diagnostics += wrong
    there = [path for pipeline in made if (path := _path(out, pipeline)).exists()]
    if there and not force:
        for path in there:
            typer.echo(f"sluicegate import: {_shown(path)} is there already (--force writes over it)", err=True)
        raise typer.Exit(_WRONG_USE)
    _write(made, out)
    notes = [note for pipeline in made for note in pipeline.notes]
    _report([_path(out, pipeline) for pipeline in made], notes, diagnostics)
    if diagnostics or any(note.lost for note in notes):
        raise typer.Exit(_LOST)


def _yaml_files(given: Sequence[Path]) -> list[Path]:
    """The files that are given, and those in the given folders; `defaults.yml` is read with each."""
    found: list[Path] = []
    for path in given:
        inside = (each for each in sorted(path.rglob("*")) if each.suffix in SUFFIXES and each.stem != "defaults")
        found += [each for each in inside if each.is_file()] if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _known(path: str) -> Known | None:
    """What is known of an operator; it is imported, with Airflow."""
    from sluicegate.cli.home import airflow_home

    with airflow_home():
        from sluicegate.factory.arguments.operators import operator_class
        from sluicegate.factory.unplaced import BuildError
        from sluicegate.runtime.signatures import arguments_of

        try:
            operator = operator_class(path, ())
        except BuildError:
            return None
        return Known(arguments_of(operator), frozenset(operator.template_fields))


def _path(out: Path, pipeline: Converted) -> Path:
    return out / f"{pipeline.name}.yaml"


def _write(made: Sequence[Converted], out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for pipeline in made:
            _path(out, pipeline).write_text(pipeline.text, "utf-8")
    except OSError as error:
        typer.echo(f"sluicegate import: cannot write into {_shown(out)}: {error.strerror or error}", err=True)
        raise typer.Exit(_WRONG_USE) from None


def _report(written: Sequence[Path], notes: Sequence[Note], diagnostics: Sequence[Diagnostic]) -> None:
    for path in written:
        typer.echo(_shown(path))
    for diagnostic in diagnostics:
        typer.echo(draw(diagnostic, Path.cwd()), err=True)
    # What `default` contains is noted in every pipeline, and reported once.
    told = {(note.file, note.line, note.kind, note.message): None for note in notes}
    for file, line, kind, message in sorted(told, key=lambda each: (str(each[0]), each[1])):
        typer.echo(f"{_shown(file)}:{line}: {kind}: {message}", err=True)


def _shown(path: Path) -> str:
    """A path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
