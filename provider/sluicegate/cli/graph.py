"""`sluicegate graph`: the pipelines with their steps and datasets as a picture, or as text that becomes one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.diagnostics import print_diagnostics
from sluicegate.cli.pictures import GraphFormat, drawn_as, format_of, write_picture
from sluicegate.cli.places import existing, root_of, shown, wrong_use
from sluicegate.cli.reading import tree_of
from sluicegate.graph.datasets import related
from sluicegate.picture.pipelines import picture_of, pipelines_only
from sluicegate.pipeline.diagnostics import Diagnostic, did_you_mean, in_order
from sluicegate.pipeline.tree import Tree

__all__ = ["graph"]


def graph(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files and folders; `dags` if none is given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")
    ] = None,
    format: Annotated[  # noqa: A002
        GraphFormat | None, typer.Option(help="By the file's suffix unless given; mermaid without a file.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This pipeline, the ones it reads from and the ones that read from it."),
    ] = None,
    collapsed: Annotated[
        bool, typer.Option("--pipelines-only", help="A node for each pipeline, without its steps and datasets.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option(help="The dags root; the nearest folder named `dags` if it is not given.")
    ] = None,
) -> None:
    """Draw pipelines, also those with errors. Exit code 1 when one has an error, 3 without the extra `graph`."""
    given = existing(paths, root, "graph")
    shape = format_of(output, format, command="graph")
    folder = _root(given, root)
    tree = tree_of(folder)
    files = [file for file in tree.files if any(file == path or path in file.parents for path in given)]
    names = {name for name, pipeline in tree.readable.items() if pipeline.file in files}
    if only:
        names = _related(tree, names, only)
        files = [tree.readable[name].file for name in sorted(names)]
    picture = (pipelines_only if collapsed else picture_of)(tree, names, files)
    drawn = drawn_as(shape, picture, command="graph")
    if output is None:
        typer.echo(drawn, nl=False)
    else:
        write_picture(output, drawn, command="graph")
    errors = _errors(tree, files, [] if only else given)
    print_diagnostics(errors, err=True)
    if errors:
        raise typer.Exit(1)


def _root(given: Sequence[Path], root: Path | None) -> Path:
    roots = {(root or root_of(path)).absolute() for path in given}
    if len(roots) > 1:
        wrong_use("graph", f"one dags root at a time, not {', '.join(sorted(map(shown, roots)))}")
    [folder] = roots
    for path in given:
        if not path.is_relative_to(folder):
            wrong_use("graph", f"{shown(path)} is not below the dags root {shown(folder)}")
    return folder


def _related(tree: Tree, names: Collection[str], only: Sequence[str]) -> set[str]:
    for name in only:
        if name not in names:
            meant = did_you_mean(name, names)
            wrong_use("graph", f"there is no pipeline `{name}`" + (f"; did you mean `{meant}`?" if meant else ""))
    return {each for name in only for each in related(tree.readable, name)}


def _errors(tree: Tree, files: Sequence[Path], folders: Sequence[Path]) -> tuple[Diagnostic, ...]:
    """The diagnostics of the files and of what else lies in the folders, such as a `defaults.yaml`."""
    found = [diagnostic for file in files for diagnostic in tree.diagnostics_of(file)]
    found += [
        diagnostic
        for diagnostic in tree.diagnostics
        if any(diagnostic.file == path or path in diagnostic.file.parents for path in folders)
    ]
    return in_order(diagnostic for diagnostic in found if diagnostic.is_error)
