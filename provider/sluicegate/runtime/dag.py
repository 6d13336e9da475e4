"""The DAG around steps of ours, for the factory and for DAGs written by hand: templates see the run's window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG
from jinja2.runtime import Context as TemplateContext

from sluicegate.faults.rules import FaultRule
from sluicegate.runtime.operator import run_window

if TYPE_CHECKING:
    import jinja2

    from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["PipelineDAG"]


class _StepTemplateContext(TemplateContext):
    """What a template of an `operator:` step sees: Airflow's names, and `window` and `item`, which are ours."""

    def resolve_or_missing(self, key: str) -> Any:
        if key in ("window", "item") and key not in self.vars and key not in self.parent:
            if key == "window" and "dag_run" in self.parent:
                window = run_window(self.parent)  # type: ignore[arg-type]
                return window.in_zone(self.environment.window_timezone)  # type: ignore[attr-defined]
            task: Any = self.parent.get("task")
            if key == "item" and hasattr(task, "item"):
                return task.item
        return super().resolve_or_missing(key)


class PipelineDAG(DAG):
    """A DAG in whose templates, also those of operators that are not ours, `window` is the run's.

    :param window_timezone: IANA name of the time zone of `window`
    :param source: the file to show in Airflow's Code tab, where that is not the one that makes the DAG
    :param playbook: the page that a failed task's log points to, where it is not called like the pipeline
    :param journal: the Airflow connection of the Postgres in which steps keep what they did
    :param fault_rules: which errors of its tasks are which fault, in place of what the catalogue says
    """

    def __init__(
        self,
        dag_id: str,
        *,
        window_timezone: str = "UTC",
        source: str = "",
        playbook: str = "",
        journal: str | None = None,
        fault_rules: Sequence[FaultRule] = (),
        **arguments: Any,
    ) -> None:
        super().__init__(dag_id, **arguments)
        self.window_timezone = window_timezone
        self.source = source
        self.playbook = playbook
        self.journal = journal
        self.fault_rules = tuple(fault_rules)
        self.pipeline: Pipeline | None = None
        """What the DAG was made of, for the receipts of its steps; None in one that was written by hand."""

    def validate(self) -> None:
        # Called after the importer has said that the stub is the source, and before anything is stored.
        super().validate()  # type: ignore[no-untyped-call]
        if self.source:
            self.fileloc = self.source

    def get_template_env(self, *, force_sandboxed: bool = False) -> jinja2.Environment:
        environment = super().get_template_env(force_sandboxed=force_sandboxed)
        environment.context_class = _StepTemplateContext
        environment.extend(window_timezone=self.window_timezone)
        return environment
