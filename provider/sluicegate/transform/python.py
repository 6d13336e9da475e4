"""The `python` step: calls the author's function with side effects, with what it names of the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sluicegate.graph.location import Location
from sluicegate.runtime.code import (
    arguments_for,
    failure_of,
    find_function,
    is_meant,
    names_parameter,
    on_path,
)
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["PythonStepOperator"]

_OFFERED = ("reads", "writes", "params", "window", "dry_run")
"""And `item`, when the task is mapped."""

log = logging.getLogger(__name__)


class PythonStepOperator(StepOperator):
    """Calls a function with side effects.

    It gets the arguments of `with_` and what it names of `reads` and `writes` (URI, or list of URIs, by
    binding), `params`, `window`, `dry_run` and, in a mapped task, `item`; with a `**kwargs` all of them. In a
    dry run it is called only if it names `dry_run`. What it returns is the task's XCom.

    :param function: `module:function`, found from `root`
    :param root: the dags root; the folder of the DAG's file unless given
    """

    template_fields: Sequence[str] = ("reads", "writes", "with_")
    sources = ("reads",)
    reads_elsewhere = True

    def __init__(
        self,
        *,
        function: str,
        reads: Mapping[str, str | Location] | None = None,
        writes: Mapping[str, str | Location] | None = None,
        with_: Mapping[str, Any] | None = None,
        root: str | None = None,
        pipeline: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pipeline=pipeline, **kwargs)
        self.function = function
        self.reads = dict(reads or {})
        self.writes = dict(writes or {})
        self.with_ = dict(with_ or {})
        self.root = root

    def run(self, context: Context, step: StepContext) -> StepResult:
        root = self.root or self.dag.folder
        with on_path(root):
            function = find_function(self.function, root)
            given = {"with": self.with_}
            names = (*_OFFERED, "item") if step.mapped else _OFFERED
            passed = arguments_for(self.function, function, given, names, all_to_kwargs=True)
            if step.dry_run and not names_parameter(function, "dry_run"):
                from airflow.sdk.exceptions import AirflowSkipException

                raise AirflowSkipException(f"Dry run: skipped, for {self.function} does not take dry_run")
            offered = {
                "reads": dict(self.reads),
                "writes": dict(self.writes),
                "params": step.params,
                "window": step.window,
                "dry_run": step.dry_run,
                "item": step.item,
            }
            known = offered | self.with_
            log.info("Calling %s with %s", self.function, ", ".join(passed) or "nothing")
            try:
                return StepResult(function(**{name: known[name] for name in passed}))
            except Exception as error:
                if is_meant(error):
                    raise
                raise failure_of(error, self.function, root) from error
