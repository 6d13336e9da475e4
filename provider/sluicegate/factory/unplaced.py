"""What only shows when a DAG is built (operators, their arguments), kept with the place that it is about.

Nothing here knows lines and columns: `placed` finds them in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.pipeline.diagnostics import PipelineErrors, Severity, Where
    from sluicegate.pipeline.text.source import Source

__all__ = ["BuildError", "UnplacedDiagnostic", "placed"]


@dataclass(frozen=True)
class UnplacedDiagnostic:
    """`where` is the path in the file; `key` points at the key there rather than at its value.

    What a step reads or writes is always at `("steps", step, "reads", binding)`, in whichever form the file says it.
    """

    where: Where
    code: str
    message: str
    key: bool = False
    suggestion: str | None = None
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


class BuildError(Exception):
    """A pipeline that reads well cannot become a DAG, for all of these reasons."""

    def __init__(self, unplaced: Iterable[UnplacedDiagnostic]) -> None:
        self.diagnostics: tuple[UnplacedDiagnostic, ...] = tuple(unplaced)
        super().__init__("; ".join(diagnostic.message for diagnostic in self.diagnostics))


def placed(unplaced: Sequence[UnplacedDiagnostic], file: Path, root: Path) -> PipelineErrors:
    """The same as diagnostics with line and column.

    :raises PipelineErrors: when the file, changed meanwhile, is not YAML any more.
    """
    from sluicegate.pipeline.diagnostics import PipelineErrors
    from sluicegate.pipeline.text.source import Source

    source = Source.open(file, root)
    diagnostics = [
        source.diagnostic(
            _written(diagnostic.where, source),
            diagnostic.code,
            diagnostic.message,
            key=diagnostic.key,
            suggestion=diagnostic.suggestion,
            severity=diagnostic.severity,
        )
        for diagnostic in unplaced
    ]
    return PipelineErrors(diagnostics, root)


def _written(where: Where, source: Source) -> Where:
    from sluicegate.pipeline.read.yaml_paths import read_place, write_place

    match where:
        case ("steps", str(step), "reads", str(binding)):
            return read_place(source, step, binding)
        case ("steps", str(step), "writes", str(binding)):
            return write_place(source, step, binding)
    return where
