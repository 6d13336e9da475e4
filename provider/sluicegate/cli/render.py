"""`sluicegate render`: the DAGs as Airflow sees them, as JSON to compare or as Python files that need no factory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.diagnostics import print_diagnostics
from sluicegate.cli.home import airflow_home
from sluicegate.cli.places import existing, root_of, shown, wrong_use
from sluicegate.cli.reading import tree_of
from sluicegate.pipeline.diagnostics import Diagnostic, did_you_mean, in_order
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.tree import Tree

if TYPE_CHECKING:
    from sluicegate.render import Rendered

__all__ = ["render"]


def render(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE|PATH", help="Names of pipelines, files, folders; all if none is given."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write, or a folder for several Python files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, which is also the default.")] = False,
    as_python: Annotated[bool, typer.Option("--python", help="A Python file for each pipeline.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="The dags root; the nearest folder named `dags` if it is not given.")
    ] = None,
) -> None:
    """Show the DAGs that pipelines become. Exit code 1 when one of them has an error, 2 for wrong use."""
    if as_json and as_python:
        wrong_use("render", "either --json or --python")
    asked = _asked(which or [], root)
    if as_python and len(asked.pipelines) > 1 and output is None:
        count = len(asked.pipelines)
        wrong_use("render", f"{count} pipelines are {count} Python files: -o FOLDER, or name one pipeline")
    diagnostics = list(asked.diagnostics)
    with airflow_home():
        built = list(_built(asked, diagnostics))
    written = True
    if as_python:
        written = _write_python(built, output, single=len(asked.pipelines) == 1)
    else:
        _write(output, _json(built))
    errors = in_order(diagnostic for diagnostic in diagnostics if diagnostic.is_error)
    print_diagnostics(errors, err=True)
    if errors or not written:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Asked:
    """The good ones of the pipelines that are asked for, and the diagnostics of the others."""

    tree: Tree
    pipelines: tuple[Pipeline, ...]
    diagnostics: tuple[Diagnostic, ...]


def _asked(words: Sequence[str], root: Path | None) -> _Asked:
    paths = [Path(word) for word in words if Path(word).exists()]
    given = existing(paths, root, "render")
    folder = (root or root_of(given[0])).absolute()
    tree = tree_of(folder)
    names = [word for word in words if word in tree.readable]
    for word in words:
        if word not in names and not Path(word).exists():
            meant = did_you_mean(word, tree.readable)
            wrong_use("render", f"there is no pipeline `{word}`" + (f"; did you mean `{meant}`?" if meant else ""))
    inside = [path.absolute() for path in paths if str(path) not in names]
    for path in inside:
        if not path.is_relative_to(folder):
            wrong_use("render", f"{shown(path)} is not below the dags root {shown(folder)}")
    files = {tree.readable[name].file for name in names}
    below = {file for file in tree.files for path in inside or ([] if words else [folder]) if _is_at(file, path)}
    pipelines = [each for name, each in tree.pipelines.items() if name in names or each.file in below]
    found = [diagnostic for file in files | below for diagnostic in tree.diagnostics_of(file)]
    return _Asked(tree, tuple(sorted(pipelines, key=lambda each: each.name)), tuple(found))


def _is_at(file: Path, path: Path) -> bool:
    return file == path or path in file.parents


def _built(asked: _Asked, diagnostics: list[Diagnostic]) -> Iterator[tuple[Pipeline, Rendered]]:
    """Every pipeline's DAG, by the factory; what building finds wrong is added to `diagnostics`."""
    from sluicegate.factory.attempt import attempt
    from sluicegate.factory.code_path import find_code
    from sluicegate.factory.unplaced import placed
    from sluicegate.render import rendered

    for pipeline in asked.pipelines:
        find_code(pipeline.root)
        built, unplaced = attempt(pipeline, asked.tree.readable)
        if unplaced:
            diagnostics += placed(unplaced, pipeline.file, pipeline.root).diagnostics
        if built is not None:
            yield pipeline, rendered(built.dag, built.arguments, built.task_arguments)


def _json(built: Sequence[tuple[Pipeline, Rendered]]) -> str:
    from sluicegate.render import plain_dag

    told = {pipeline.name: plain_dag(dag, str(pipeline.root)) for pipeline, dag in built}
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _write_python(built: Sequence[tuple[Pipeline, Rendered]], output: Path | None, *, single: bool) -> bool:
    """One file, or one for each below the folder `output`, where the pipeline's file is below the dags root.

    Return whether all could be written; report what could not.
    """
    from sluicegate.render import NotPythonError, python_of

    complete = True
    folder = output is not None and (output.is_dir() or not single)
    for pipeline, dag in built:
        file = PurePosixPath(pipeline.path)
        try:
            text = python_of(dag, root=str(pipeline.root), file=file, description=pipeline.description or "")
        except NotPythonError as error:
            typer.echo(f"sluicegate render: {error}", err=True)
            complete = False
            continue
        target = output / file.with_name(f"{pipeline.name}.py") if folder and output is not None else output
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, text)
    return complete


def _write(output: Path | None, text: str) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        wrong_use("render", f"{shown(output)} cannot be written: {error.strerror}")
    if sys.stdout.isatty():
        typer.echo(f"{shown(output)} is written")
