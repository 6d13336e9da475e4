"""From a pipeline file to its DAG: what a stub calls.

How Airflow comes to the file is the bundle's matter. A worker reads one file and those it reads from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from sluicegate.dag import PipelineDAG
from sluicegate.factory.abilities import shortcomings
from sluicegate.factory.build import build_dag
from sluicegate.factory.problems import BuildError, Problem, placed
from sluicegate.pipeline import Mistake, Pipeline, PipelineErrors, read_together

__all__ = ["PipelineFileError", "build_mistakes", "find_code", "load_dag", "refuse"]


class PipelineFileError(Exception):
    """What Airflow shows as the import error of a pipeline file: the drawing of its mistakes."""

    # A traceback names the class with its module, which says nothing to the file's author.
    __module__ = "sluicegate"

    def __str__(self) -> str:
        return "\n" + super().__str__()


def load_dag(root: str, file: str) -> PipelineDAG:
    """The DAG of `file`, a path relative to the dags root `root`.

    :raises PipelineFileError: with every mistake of the file
    """
    folder = Path(root)
    find_code(folder)
    try:
        return _build(folder / file, folder)
    except PipelineErrors as errors:
        only_errors = PipelineErrors((mistake for mistake in errors.mistakes if mistake.is_error), folder)
        text = str(only_errors)
    raise PipelineFileError(text)


def refuse(text: str) -> None:
    """Raise what is wrong with a file, also what only the whole tree shows: a name taken twice.

    :raises PipelineFileError: always
    """
    raise PipelineFileError(text)


def build_mistakes(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[Mistake, ...]:
    """What keeps a pipeline that reads well from becoming a DAG, or its steps from doing what they are asked to.

    Operators and their arguments, and what our own steps cannot do; warnings too.
    """
    find_code(pipeline.root)
    _, problems = _attempt(pipeline, others)
    return placed(problems, pipeline.file, pipeline.root).mistakes if problems else ()


def find_code(root: Path) -> None:
    """Make functions of pipelines importable from the dags root.

    At the end of `sys.path`: a folder of a pipeline must not hide an installed package.
    """
    if (entry := str(root)) not in sys.path:
        sys.path.append(entry)


def _build(file: Path, root: Path) -> PipelineDAG:
    together = read_together(file, root)
    dag, problems = _attempt(together.pipeline, together.upstreams)
    if dag is None:
        raise placed(problems, file, root)
    return dag


def _attempt(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[PipelineDAG | None, list[Problem]]:
    """The DAG, unless there is an error, and all that is wrong."""
    problems = list(shortcomings(pipeline, others))
    try:
        dag = build_dag(pipeline, others)
    except BuildError as error:
        return None, [*problems, *error.problems]
    return (None if any(problem.is_error for problem in problems) else dag), problems
