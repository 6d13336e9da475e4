"""The task that a step over files gets beside it: lists, when the run comes to it, the files that match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowSkipException

from sluicegate.faults import fault
from sluicegate.graph.location import Location
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["FilesOperator"]


class FilesOperator(StepOperator):
    """Returns the URIs of the files that match, sorted by name.

    :param files: a URI with wildcards; rendered before the step runs
    :param empty: without a match `fail` with SOURCE_MISSING, or `skip` what is mapped over them
    """

    template_fields: Sequence[str] = ("files",)
    sources = ("files",)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        files: str | Location,
        empty: Literal["fail", "skip"] = "fail",
        aws_conn_id: str = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.files: Any = files
        self.empty = empty
        self.aws_conn_id = aws_conn_id

    def run(self, context: Context, step: StepContext) -> StepResult:
        from sluicegate.storage import Storage

        found = list(Storage(self.aws_conn_id).matching(self.files))
        if not found and step.dry_run:
            raise AirflowSkipException(f"Dry run: skipped, for no file matches {self.files}")
        if not found and self.empty == "fail":
            raise fault("SOURCE_MISSING", f"no file matches {self.files}", uri=self.files)
        return StepResult(found, f"{len(found)} files match {self.files}")
