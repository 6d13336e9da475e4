"""`sluicegate check`: every mistake of the pipeline files given, in a form for people, programs or GitHub."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.diagnostics import tell
from sluicegate.cli.home import airflow_home
from sluicegate.cli.places import WRONG_USE, existing, root_of, shown
from sluicegate.cli.reading import tree_of
from sluicegate.pipeline.check.advice import advice
from sluicegate.pipeline.diagnostics import BUG, Diagnostic, bug, in_order, independent
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.lookup import is_pipeline_file
from sluicegate.pipeline.read.matrix import merged
from sluicegate.pipeline.tree import Tree

__all__ = ["CheckFormat", "Found", "check", "look_at"]


class CheckFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@dataclass(frozen=True)
class Found:
    """What was looked at and what is wrong with it."""

    files: tuple[Path, ...]
    diagnostics: tuple[Diagnostic, ...]


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files and folders; `dags` if none is given.")
    ] = None,
    format: Annotated[CheckFormat, typer.Option(help="How mistakes are shown.")] = CheckFormat.TEXT,  # noqa: A002
    root: Annotated[
        Path | None, typer.Option(help="The dags root; the nearest folder named `dags` if it is not given.")
    ] = None,
    playbooks: Annotated[
        Path | None,
        typer.Option(
            envvar="AIRFLOW__SLUICEGATE__PLAYBOOKS_FOLDER",
            help="The folder of playbooks; `playbooks` beside the dags root if it is not given.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    """Check pipeline files. Exit code 1 when there is an error, 2 when a path does not exist."""
    given = existing(paths, root, "check")
    found = look_at(given, root, playbooks)
    _tell(found, format)
    if any(diagnostic.is_error or strict for diagnostic in found.diagnostics):
        raise typer.Exit(1)


def look_at(paths: Sequence[Path], root: Path | None, playbooks: Path | None) -> Found:
    """Everything that is wrong with the files at `paths`.

    :raises typer.Exit: when one of them is not below `root`
    """
    files: list[Path] = []
    diagnostics: list[Diagnostic] = []
    by_root: dict[Path, list[Path]] = {}
    for path in paths:
        by_root.setdefault((root or root_of(path)).absolute(), []).append(path)
    for folder, inside in by_root.items():
        tree = tree_of(folder)
        for path in inside:
            wanted = [file for file in tree.files if file == path or path in file.parents]
            if not wanted and path.is_file():
                _say_left_alone(path, folder)
            files += wanted
            diagnostics += _diagnostics_at(tree, wanted, path)
            diagnostics += _advice(tree, wanted, playbooks or folder.parent / "playbooks")
    return Found(tuple(dict.fromkeys(files)), in_order(diagnostics))


def _say_left_alone(path: Path, root: Path) -> None:
    if not path.is_relative_to(root):
        typer.echo(f"{shown(path)} is not below the dags root {shown(root)}", err=True)
        raise typer.Exit(WRONG_USE)
    if not (path.suffix in (".yaml", ".yml") and is_pipeline_file(path)):
        typer.echo(f"{shown(path)} is no pipeline file", err=True)


def _diagnostics_at(tree: Tree, files: Sequence[Path], path: Path) -> list[Diagnostic]:
    """The mistakes of the files, of what else lies at `path`, and those that building the DAGs finds."""
    found: list[Diagnostic] = [diagnostic for file in files for diagnostic in tree.diagnostics_of(file)]
    found += [
        diagnostic for diagnostic in tree.diagnostics if diagnostic.file == path or path in diagnostic.file.parents
    ]
    for file, own in _by_file(tree.readable.values(), files).items():
        built = merged([(pipeline.matrix, _build_diagnostics(pipeline, tree)) for pipeline in own])
        found += independent(built, tree.diagnostics_of(file))
    return found


def _advice(tree: Tree, files: Sequence[Path], playbooks: Path) -> Iterator[Diagnostic]:
    """What the files lack, errors or none."""
    by_file = _by_file(tree.readable.values(), files)
    for file in files:
        if any(diagnostic.code == BUG for diagnostic in tree.diagnostics_of(file)):
            continue
        try:
            yield from advice(file, tree.root, [pipeline.name for pipeline in by_file[file]], playbooks)
        except Exception as error:
            yield bug(error, "checking", file)


def _by_file(pipelines: Iterable[Pipeline], files: Sequence[Path]) -> dict[Path, list[Pipeline]]:
    found: dict[Path, list[Pipeline]] = {file: [] for file in files}
    for pipeline in pipelines:
        if pipeline.file in found:
            found[pipeline.file].append(pipeline)
    return found


def _build_diagnostics(pipeline: Pipeline, tree: Tree) -> tuple[Diagnostic, ...]:
    with airflow_home():
        from sluicegate.factory.attempt import build_diagnostics, of_part  # imports Airflow

        found = build_diagnostics(pipeline, tree.readable)
    return found if pipeline.name in tree.pipelines else tuple(of_part(found))


def _tell(found: Found, format: CheckFormat) -> None:  # noqa: A002
    if format is CheckFormat.JSON:
        typer.echo(json.dumps([_plain(diagnostic) for diagnostic in found.diagnostics], indent=2, ensure_ascii=False))
        return
    if format is CheckFormat.GITHUB:
        for diagnostic in found.diagnostics:
            typer.echo(_annotation(diagnostic))
        return
    tell(found.diagnostics)
    if sys.stdout.isatty():
        typer.echo(_summary(found))


def _summary(found: Found) -> str:
    errors = sum(diagnostic.is_error for diagnostic in found.diagnostics)
    warnings = len(found.diagnostics) - errors
    counts = [_count(errors, "error"), _count(warnings, "warning")]
    told = ", ".join(count for count in counts if count) or "no mistakes"
    return f"{_count(len(found.files), 'pipeline') or 'no pipelines'}: {told}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def _plain(diagnostic: Diagnostic) -> dict[str, str | int | None]:
    return {
        "file": shown(diagnostic.file),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "where": diagnostic.where,
        "message": diagnostic.message,
        "suggestion": diagnostic.suggestion,
    }


def _annotation(diagnostic: Diagnostic) -> str:
    """A workflow command of GitHub Actions, which draws it beside the line."""
    words = diagnostic.message
    if diagnostic.suggestion is not None:
        words += f"; did you mean `{diagnostic.suggestion}`?"
    place = {
        "file": shown(diagnostic.file),
        "line": diagnostic.line,
        "col": diagnostic.column,
        "title": diagnostic.code,
    }
    told = ",".join(f"{key}={_escaped(str(value), ',:')}" for key, value in place.items())
    return f"::{diagnostic.severity} {told}::{_escaped(words)}"


def _escaped(words: str, more: Iterable[str] = "") -> str:
    for letter in ("%", "\r", "\n", *more):
        words = words.replace(letter, f"%{ord(letter):02X}")
    return words
