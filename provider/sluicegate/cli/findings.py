"""Everything that is wrong with the pipeline files that a command is given, built as Airflow would build them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from sluicegate.cli.home import airflow_home
from sluicegate.cli.places import WRONG_USE, root_of, shown
from sluicegate.cli.reading import tree_of
from sluicegate.cli.requests import request_diagnostics
from sluicegate.pipeline.check.advice import advice, unused_clusters
from sluicegate.pipeline.diagnostics import BUG, Diagnostic, bug, in_order, independent
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.lookup import is_pipeline_file
from sluicegate.pipeline.read.matrix import merged
from sluicegate.pipeline.tree import Tree

__all__ = ["STACK_CONNECTIONS", "Found", "known_connections", "look_at", "playbooks_folder"]

_CONNECTION = "AIRFLOW_CONN_"
STACK_CONNECTIONS = ("aws_default", "warehouse")
"""Those that `sluicegate up` gives to its Airflow."""
_DEFAULT_CONNECTIONS = ("postgres_default",)
"""Airflow's own, where it makes them."""


@dataclass(frozen=True)
class Found:
    """What was looked at and what is wrong with it."""

    files: tuple[Path, ...]
    diagnostics: tuple[Diagnostic, ...]
    left_alone: tuple[Path, ...]
    """Files that were named and are not pipelines."""


def look_at(paths: Sequence[Path], root: Path | None, playbooks: Path | None) -> Found:
    """Everything that is wrong with the files at `paths`.

    :raises typer.Exit: when one of them is not below `root`
    """
    files: list[Path] = []
    left_alone: list[Path] = []
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
                left_alone.append(path)
            files += wanted
            diagnostics += _diagnostics_at(tree, wanted, path)
            diagnostics += _advice(tree, wanted, playbooks or playbooks_folder(folder))
        if set(tree.files) <= set(files) and not any(found.code == BUG for found in diagnostics):
            diagnostics += unused_clusters(tree.files, tree.root)
    return Found(tuple(dict.fromkeys(files)), in_order(diagnostics), tuple(left_alone))


def _say_left_alone(path: Path, root: Path) -> None:
    if not path.is_relative_to(root):
        typer.echo(f"{shown(path)} is not below the dags root {shown(root)}", err=True)
        raise typer.Exit(WRONG_USE)
    if not (path.suffix in (".yaml", ".yml") and is_pipeline_file(path)):
        typer.echo(f"{shown(path)} is not a pipeline file", err=True)


def _diagnostics_at(tree: Tree, files: Sequence[Path], path: Path) -> list[Diagnostic]:
    """The diagnostics of the files, of what else lies at `path`, and those that building the DAGs finds."""
    found: list[Diagnostic] = [diagnostic for file in files for diagnostic in tree.diagnostics_of(file)]
    found += [
        diagnostic for diagnostic in tree.diagnostics if diagnostic.file == path or path in diagnostic.file.parents
    ]
    for file, own in _by_file(tree.readable.values(), files).items():
        built = merged([(pipeline.matrix, _build_diagnostics(pipeline, tree)) for pipeline in own])
        found += independent(built, tree.diagnostics_of(file))
    return found


def playbooks_folder(root: Path) -> Path:
    """Where Airflow's configuration says that the playbooks are, else `playbooks` beside the dags root."""
    with airflow_home():
        from sluicegate.factory import docs  # imports Airflow

        return docs.playbooks_folder(root)


def known_connections() -> frozenset[str]:
    """The ids of connections that can be known without asking anybody: from the environment, and the local stack's.

    Airflow's database and its secrets backends are not asked, and of those that are known nothing but the name is read.
    """
    named = (name.removeprefix(_CONNECTION).lower() for name in os.environ if name.startswith(_CONNECTION))
    return frozenset({*named, *STACK_CONNECTIONS, *_DEFAULT_CONNECTIONS})


def _advice(tree: Tree, files: Sequence[Path], playbooks: Path) -> Iterator[Diagnostic]:
    """What the files lack, errors or none."""
    by_file = _by_file(tree.readable.values(), files)
    for file in files:
        if any(diagnostic.code == BUG for diagnostic in tree.diagnostics_of(file)):
            continue
        try:
            names = [pipeline.name for pipeline in by_file[file]]
            yield from advice(file, tree.root, names, playbooks, known_connections())
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

        found = (*build_diagnostics(pipeline, tree.readable), *request_diagnostics(pipeline))
    return found if pipeline.name in tree.pipelines else tuple(of_part(found))
