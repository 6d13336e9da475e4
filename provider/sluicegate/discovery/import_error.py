"""How Airflow gets what is wrong with a pipeline file. Light: every task that starts imports it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.pipeline.diagnostics import Diagnostic

__all__ = ["PipelineFileError", "drawing", "refuse"]


class PipelineFileError(Exception):
    """What Airflow shows as the import error of a pipeline file: the drawing of its diagnostics."""

    # A traceback names the class with its module, which says nothing to the file's author.
    __module__ = "sluicegate"

    def __str__(self) -> str:
        return "\n" + super().__str__()


def refuse(text: str) -> None:
    """Raise what is wrong with a file, also what only the whole tree shows: a name taken twice.

    :raises PipelineFileError: always
    """
    raise PipelineFileError(text)


def drawing(diagnostics: Iterable[Diagnostic], root: Path) -> str:
    """The errors among the diagnostics, in order, each with its line."""
    from sluicegate.pipeline.diagnostics import PipelineErrors, in_order

    return str(PipelineErrors(in_order(diagnostic for diagnostic in diagnostics if diagnostic.is_error), root))
