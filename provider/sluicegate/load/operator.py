"""The `load` step: an Airflow operator around `load.load`. Light to import; the work is imported when it runs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.circuits.names import circuits_of
from sluicegate.faults import FaultError, fault
from sluicegate.graph.location import Location, render
from sluicegate.pipeline.keys.load import Format, LoadOptions
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.runtime.lineage import assets_of
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.results import refuse_results
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.load.load import Loader
    from sluicegate.load.references import Referenced

__all__ = ["LoadOperator", "takes_options"]

Init = TypeVar("Init", bound=Callable[..., None])
log = logging.getLogger("sluicegate.load")


def takes_options(init: Init) -> Init:
    """Name the options of a load in a constructor's signature, for Airflow and for editors."""
    own = inspect.signature(init)
    *named, rest = own.parameters.values()
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default_factory is not None else field.default,
            annotation=field.annotation,
        )
        for name, field in LoadOptions.model_fields.items()
    ]
    init.__signature__ = own.replace(parameters=[*named, *options, rest])  # type: ignore[attr-defined]
    return init


class LoadOperator(StepOperator):
    """Bring a file or a folder of parts into a table, once: again is a ledger hit, bad records are set aside.

    Returns the report of the load (status, counts, reasons) as a JSON mapping. Beside these arguments it takes all
    keys of a `load` step, as docs/yaml.md has them: `key="id"`, `columns={"day": "date"}`, `dead_letters={"max": 100}`.

    :param source: where it is, one URI or several: a path, `file://`, `s3://`, `gs://` or `https://`; a folder ends in
        `/`, and wildcards mean all files that match.
    :param into: `table://<connection>/<[schema.]table>`, a connection to Postgres or Redshift; or a folder of
        Parquet files, a path or `s3://` that ends in `/`.
    :param aws_conn_id: for `s3://`.
    :param ledger_conn_id: the Postgres with the ledger, for a folder, Iceberg and Redshift.
    :param connection: the connection that the source itself needs: for `https://` and `gs://`.
    :param root: the dags root, from which `suite` is found.
    :param references: where the datasets are that `references` of columns name: `{"airports": "table://w/airports"}`.

    What it reads and writes are its `inlets` and `outlets`, unless they are given.
    """

    template_fields: Sequence[str] = ("source", "into", "references")
    sources = ("source",)
    ui_color = "#d7e8f4"

    @takes_options
    def __init__(
        self,
        *,
        source: str | Location | Sequence[str],
        into: str | Location,
        aws_conn_id: str = "aws_default",
        ledger_conn_id: str | None = None,
        connection: str | None = None,
        root: str | None = None,
        references: Mapping[str, str | Location] | None = None,
        **kwargs: Any,
    ) -> None:
        options = {name: kwargs.pop(name) for name in LoadOptions.model_fields if name in kwargs}
        refuse_results(options, self.template_fields)
        if not isinstance(into, Location):  # the factory says them by the names of datasets
            read = source if isinstance(source, list | tuple) else [source]
            kwargs = {"inlets": assets_of([*read, *(references or {}).values()]), "outlets": assets_of([into])} | kwargs
        super().__init__(**kwargs)
        self.options = LoadOptions.of(options)
        self.source = source
        self.into = into
        self._into_template = into.template if isinstance(into, Location) else into
        self.aws_conn_id = aws_conn_id
        self.ledger_conn_id = ledger_conn_id
        self.connection = connection
        self.root = root
        self.references = dict(references or {})
        self._formats = {name: at.format for name, at in self.references.items() if isinstance(at, Location)}
        self._loader: Loader | None = None
        self._is_killed = False

    def run(self, context: Context, step: StepContext) -> StepResult:
        """Load, and say in one line what became of the records."""
        from airflow.configuration import conf

        from sluicegate.ledger.entries import Origin
        from sluicegate.load.checked.load import loader_of
        from sluicegate.load.request import request_of
        from sluicegate.records.scope import rendered_scope
        from sluicegate.storage import Storage
        from sluicegate.targets.open import open_target, place_in

        into = str(self.into)
        item = {"item": step.item} if step.mapped else {}
        request = request_of(
            self.options,
            (self.source,) if isinstance(self.source, str) else tuple(str(uri) for uri in self.source),  # type: ignore[union-attr]
            place_in(into, self._into_template),
            Origin(step.pipeline, step.step, step.run_id, step.try_number, step.window),
            references={name: self._referenced(name) for name in self.references},
            root=Path(self.root or "."),
            scope=rendered_scope(self.options.scope, step.window, step.params, **item),
            results=self._results(step, item),
            dry_run=step.dry_run,
            force=step.force,
            memory_limit=conf.get("sluicegate", "load_memory_limit", fallback=MEMORY_LIMIT),
        )
        target = open_target(
            into, application=f"{step.pipeline}.{step.step} {step.run_id}", ledger=self.ledger_conn_id,
            storage=Storage(self.aws_conn_id), memory_limit=request.memory_limit,
        )  # fmt: skip
        storage = Storage(self.aws_conn_id, connection=self.connection, success_marker=request.format.success_marker)
        self._loader = loader_of(request, storage, target)
        if self._is_killed:
            self._loader.cancel()
        loader, name = self._loader, next((place.dataset for place in self._reads), request.source)
        try:
            report = loader.run()
        except FaultError as failed:
            self.facts = loader.facts(name)
            if (facts := failed.facts.get("report")) is not None:
                context["ti"].xcom_push(key="return_value", value=facts)
            raise
        finally:
            self._loader = None
        return StepResult(report.as_dict(), report.line(), loader.facts(name))

    def circuits(self) -> tuple[str, ...]:
        """Of its source and its target; that of the ledger where it is beside the target, and not in its database."""
        into = str(self.into)
        is_beside = not into.startswith("table://")
        return circuits_of(
            vars(self) if is_beside else {"aws_conn_id": self.aws_conn_id}, (self.source, into, self.references)
        )

    def _results(self, step: StepContext, item: Mapping[str, Any]) -> str | None:
        if self.options.results is None:
            return None
        try:
            return render(self.options.results, window=step.window, params=step.params, **item)
        except ValueError as unrendered:
            raise fault("WRONG_USE", f"results: {unrendered}") from unrendered

    def _referenced(self, name: str) -> Referenced:
        from sluicegate.load.references import Referenced

        at: Any = self.references[name]
        return Referenced((at,) if isinstance(at, str) else tuple(map(str, at)), self._formats.get(name) or Format())

    def on_kill(self) -> None:
        """Stop the statement that runs; the transaction is rolled back with it."""
        self._is_killed = True
        if self._loader is not None:
            self._loader.cancel()
