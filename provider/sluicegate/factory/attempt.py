"""An attempt to build a pipeline that reads well: its DAG, or all that is wrong. All ways into Airflow share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from sluicegate.factory.build import BuiltDag, build
from sluicegate.factory.code_path import find_code
from sluicegate.factory.preflight.abilities import unsupported
from sluicegate.factory.steps import part_diagnostics
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic, placed
from sluicegate.graph.datasets import as_read_by, located
from sluicegate.pipeline import Diagnostic, Pipeline
from sluicegate.pipeline.diagnostics import BUG, bug, bug_message

__all__ = ["attempt", "build_diagnostics", "of_part"]

Finding = TypeVar("Finding", UnplacedDiagnostic, Diagnostic)


def build_diagnostics(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[Diagnostic, ...]:
    """What keeps a pipeline that reads well from becoming a DAG, or its steps from doing what they are asked to.

    Operators and their arguments, and what our own steps cannot do; warnings too.

    :param pipeline: may be as much of a pipeline with errors as could be read: of the rest nothing is said
    """
    try:
        find_code(pipeline.root)
        _, unplaced = attempt(located(pipeline, others), others)
        return placed(unplaced, pipeline.file, pipeline.root).diagnostics if unplaced else ()
    except Exception as error:
        return (bug(error, "building", pipeline.file),)


def of_part(unplaced: Iterable[Finding]) -> list[Finding]:
    """What holds although only a part of the pipeline was built: not what is for want of the rest."""
    return [diagnostic for diagnostic in unplaced if diagnostic.code not in ("build", "dag")]


def attempt(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[BuiltDag | None, list[UnplacedDiagnostic]]:
    """The DAG, unless there is an error, and all that is wrong."""
    unplaced: list[UnplacedDiagnostic] = []
    try:
        # With no more of the others than a compiled pipeline keeps: what is tried here is what is parsed there.
        known = as_read_by(pipeline, others)
        unplaced += unsupported(pipeline, known)
        unplaced += (
            diagnostic for step in pipeline.unfinished.values() for diagnostic in part_diagnostics(step, pipeline)
        )
    except Exception as error:
        return None, [*unplaced, UnplacedDiagnostic((), BUG, bug_message(error, "checking", pipeline.file))]
    try:
        built = build(pipeline, known)
    except BuildError as error:
        return None, [*unplaced, *error.diagnostics]
    except SystemExit as error:  # who asks builds others as well, and goes on
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        message = f"building this pipeline would end the process (exit code {code}): what do its operators' modules do?"
        return None, [*unplaced, UnplacedDiagnostic((), "build", message)]
    except Exception as error:
        return None, [*unplaced, UnplacedDiagnostic((), BUG, bug_message(error, "building", pipeline.file))]
    return (None if any(diagnostic.is_error for diagnostic in unplaced) else built), unplaced
