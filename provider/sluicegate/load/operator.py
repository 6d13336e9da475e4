"""The `load` step: an Airflow operator around `load.load`. Light to import; the work is imported when it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import FaultError
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Check, Column, DeadLetters, Format, Mode, OnSchemaChange
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.load.load import Loader

__all__ = ["LoadOperator"]

log = logging.getLogger("sluicegate.load")


class LoadOperator(StepOperator):
    """Bring a file or a folder of parts into a table, once: again is a ledger hit, bad records are set aside.

    Returns the report of the load (status, counts, reasons) as a JSON mapping.

    :param source: where it is, one URI or several: a path, `file://` or `s3://`; a folder ends in `/`.
    :param into: `table://<connection>/<[schema.]table>`, a Postgres connection.
    :param key: the column or columns that identify a record.
    :param mode: `merge` (default with a key), `insert_only` or `append`.
    :param newest_by: the column whose larger value wins where a key comes twice.
    :param format: how the file is read; without it the suffix decides.
    :param columns: types and contract by column; a plain text is a type.
    :param checks: expectations in Great Expectations' words: `{"expect_…": {"column": …}}`.
    :param suite: a Great Expectations suite as a JSON file, relative to `root`.
    :param dead_letters: `{"max": "5%"}` or `{"max": 100}`.
    :param on_schema_change: what becomes of a column that the target lacks: `fail`, `add` or `ignore`.
    :param aws_conn_id: for `s3://`.
    :param root: the dags root, from which `suite` is found.
    """

    template_fields: Sequence[str] = ("source", "into")
    ui_color = "#d7e8f4"

    def __init__(
        self,
        *,
        source: str | Location | Sequence[str],
        into: str | Location,
        key: str | Sequence[str] = (),
        mode: Mode | str | None = None,
        newest_by: str | None = None,
        format: Format | Mapping[str, Any] | None = None,  # noqa: A002 - the pipeline file's own word
        columns: Mapping[str, Column | Mapping[str, Any] | str] | None = None,
        checks: Sequence[Check | Mapping[str, Any]] = (),
        suite: str | None = None,
        dead_letters: DeadLetters | Mapping[str, Any] | None = None,
        on_schema_change: OnSchemaChange | str = OnSchemaChange.FAIL,
        aws_conn_id: str = "aws_default",
        root: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.into = into
        self._into_template = into.template if isinstance(into, Location) else into
        self.key = (key,) if isinstance(key, str) else tuple(key)
        self.mode = None if mode is None else Mode(mode)
        self.newest_by = newest_by
        self.format = Format.model_validate(format) if format is not None else None
        self.columns = {name: _column(column) for name, column in (columns or {}).items()}
        self.checks = tuple(_check(check) for check in checks)
        self.suite = suite
        self.dead_letters = DeadLetters.model_validate(dead_letters if dead_letters is not None else {})
        self.on_schema_change = OnSchemaChange(on_schema_change)
        self.aws_conn_id = aws_conn_id
        self.root = root
        self._loader: Loader | None = None

    def run(self, context: Context, step: StepContext) -> StepResult:
        """Load, and say in one line what became of the records."""
        from airflow.configuration import conf

        from sluicegate.ledger.entries import Origin
        from sluicegate.load.load import Loader
        from sluicegate.load.request import request_of
        from sluicegate.storage import Storage
        from sluicegate.targets.connection import parse_table
        from sluicegate.targets.open import open_target

        into = str(self.into)
        request = request_of(
            self,
            (self.source,) if isinstance(self.source, str) else tuple(str(uri) for uri in self.source),  # type: ignore[union-attr]
            parse_table(into, self._into_template)[1],
            Origin(step.pipeline, step.step, step.run_id, step.try_number, step.window),
            root=Path(self.root or "."),
            dry_run=step.dry_run,
            force=step.force,
            memory_limit=conf.get("sluicegate", "load_memory_limit", fallback="400MB"),
        )
        target = open_target(into, application=f"{step.pipeline}.{step.step} {step.run_id}")
        self._loader = Loader(request, Storage(self.aws_conn_id), target)
        try:
            report = self._loader.run()
        except FaultError as failed:
            if (facts := failed.facts.get("report")) is not None:
                context["ti"].xcom_push(key="return_value", value=facts)
            raise
        finally:
            self._loader = None
        return StepResult(report.as_dict(), report.line())

    def on_kill(self) -> None:
        """Stop the statement that runs; the transaction is rolled back with it."""
        if self._loader is not None:
            self._loader.cancel()


def _column(column: Column | Mapping[str, Any] | str) -> Column:
    return Column(type=column) if isinstance(column, str) else Column.model_validate(column)


def _check(check: Check | Mapping[str, Any]) -> Check:
    """A check as a model, as its fields, or as the pipeline file has it: one expectation with its arguments."""
    if isinstance(check, Check):
        return check
    if set(check) <= {"expectation", "kwargs"}:
        return Check.model_validate(check)
    if len(check) != 1:
        raise ValueError(f"a check is one expectation with its arguments, not {sorted(check)}")
    [(expectation, kwargs)] = check.items()
    return Check(expectation=expectation, kwargs=kwargs or {})
