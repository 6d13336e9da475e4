"""An attempt to build a pipeline that reads well: its DAG, or all that is wrong. All ways into Airflow share it."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.factory.build import BuiltDag, build
from sluicegate.factory.code_path import find_code
from sluicegate.factory.preflight.abilities import shortcomings
from sluicegate.factory.problems import BuildError, Problem, placed
from sluicegate.graph.datasets import as_read_by, located
from sluicegate.pipeline import Diagnostic, Pipeline

__all__ = ["attempt", "build_diagnostics"]


def build_diagnostics(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[Diagnostic, ...]:
    """What keeps a pipeline that reads well from becoming a DAG, or its steps from doing what they are asked to.

    Operators and their arguments, and what our own steps cannot do; warnings too.

    :param pipeline: may be as much of a pipeline with mistakes as could be read: of the rest nothing is said
    """
    find_code(pipeline.root)
    _, problems = attempt(located(pipeline, others), others)
    return placed(problems, pipeline.file, pipeline.root).diagnostics if problems else ()


def attempt(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[BuiltDag | None, list[Problem]]:
    """The DAG, unless there is an error, and all that is wrong."""
    # With no more of the others than a compiled pipeline keeps: what is tried here is what is parsed there.
    known = as_read_by(pipeline, others)
    problems = list(shortcomings(pipeline, known))
    try:
        built = build(pipeline, known)
    except BuildError as error:
        return None, [*problems, *error.problems]
    except SystemExit as error:  # who asks builds others as well, and goes on
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        message = f"building this pipeline would end the process (exit code {code}): what do its operators' modules do?"
        return None, [*problems, Problem((), "build", message)]
    except Exception as error:
        return None, [*problems, Problem((), "build", f"this cannot be built: {type(error).__name__}: {error}")]
    return (None if any(problem.is_error for problem in problems) else built), problems
