"""The `fetch` step: an Airflow operator around `sources.fetch`. Light to import; the work is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sluicegate.circuits.names import circuits_of
from sluicegate.faults import fault
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.fetch import Fetched
from sluicegate.runtime.folder import work_folder
from sluicegate.runtime.lineage import assets_of
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.results import refuse_results
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.sources.fetch import FetchReport, FetchRequest

__all__ = ["FetchOperator"]


class FetchOperator(StepOperator):
    """Land rows of a database, or records of an API, as files in a folder, whole or not at all.

    Templates in `fetch` know `window`, `ds`, `params` and, in a mapped task, `item`; in a query their values are bound.
    Returns the report (rows, parts, pages, range of the watermark) as a JSON mapping.

    :param fetch: as docs/yaml.md has it: `{"sql": "SELECT …", "connection": "shop", "watermark": "updated_at"}` or
        `{"api": "https://…", "connection": "partner", "records": "data", "pages": {"by": "link"}}`
    :param into: the folder, with a slash at its end
    :param ledger: the Airflow connection to the Postgres that keeps watermarks
    :param aws_conn_id: for `s3://`
    :param connection: the connection that the folder itself needs: for `gs://`

    The API's address, without its query, and the folder are its `inlets` and `outlets`, unless they are given.
    """

    template_fields: Sequence[str] = ("into",)
    ui_color = "#d9efe6"

    def __init__(
        self,
        *,
        fetch: Mapping[str, Any] | Fetched,
        into: str | Location,
        ledger: str | None = None,
        aws_conn_id: str = "aws_default",
        connection: str | None = None,
        root: str | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_results({"fetch": fetch}, self.template_fields)
        self.fetch = fetch if isinstance(fetch, Fetched) else Fetched.model_validate(fetch)
        if not isinstance(into, Location):  # the factory says them by the names of datasets
            kwargs = {"inlets": assets_of([self.fetch.api]), "outlets": assets_of([into])} | kwargs
        super().__init__(**kwargs)
        self.connection = connection or (into.connection if isinstance(into, Location) else None)
        self.into = into
        self.ledger = ledger
        self.aws_conn_id = aws_conn_id
        self.root = root
        self._stop: Callable[[], None] | None = None

    def run(self, context: Context, step: StepContext) -> StepResult:
        """Fetch, and say in one line what has landed."""
        from sluicegate.ledger.watermarks import Reader
        from sluicegate.sources.fetch import FetchRequest

        folder = str(self.into)
        if not folder.endswith("/"):
            raise fault("WRONG_USE", f"into: {folder!r} is not a folder: end it in a slash")
        since = step.params.get("since")
        request = FetchRequest(
            self.fetch,
            folder,
            step.window,
            step.params,
            {"item": step.item} if step.mapped else {},
            Reader(step.pipeline, step.step),
            step.run_id,
            dry_run=step.dry_run,
            force=step.force,
            since=None if since is None else str(since),
        )
        try:
            report = self._fetched(request)
        except ValueError as unrendered:
            raise fault("WRONG_USE", f"fetch: {unrendered}") from unrendered
        finally:
            self._stop = None
        return StepResult(report.as_dict(), report.line(), report.facts())

    def circuits(self) -> tuple[str, ...]:
        """Those of the folder, and of the database or the API that is asked."""
        asked = f"table://{self.fetch.connection}/" if self.fetch.sql is not None else self.fetch.api
        return circuits_of(vars(self), (self.into, asked))

    def _fetched(self, request: FetchRequest) -> FetchReport:
        from sluicegate.sources.fetch import fetch_api, fetch_sql
        from sluicegate.storage import Storage
        from sluicegate.storage.credentials import credentials_of
        from sluicegate.storage.web import Web

        storage = Storage(self.aws_conn_id, connection=self.connection)
        with work_folder() as work:
            if self.fetch.sql is None:
                named = self.fetch.connection
                web = Web(credentials_of(named)) if named is not None else Web()
                self._stop = web.close
                return fetch_api(request, web, storage, work)
            from sluicegate.sources.sql import database_of

            reader = request.reader
            database = database_of(str(self.fetch.connection), f"{reader.pipeline}.{reader.step} {request.run_id}")
            self._stop = database.cancel
            return fetch_sql(request, database, storage, work, self._watermarks())

    def _watermarks(self) -> Any:
        if self.fetch.watermark is None:
            return None
        from sluicegate.ledger.conninfo import conninfo_of
        from sluicegate.ledger.postgres.watermarks import PostgresWatermarks

        if self.ledger is None:
            raise fault(
                "WRONG_USE",
                "a watermark is kept in the ledger: say `connections: {ledger: …}`, a connection to a Postgres",
            )
        return PostgresWatermarks(conninfo_of(self.ledger))

    def on_kill(self) -> None:
        """Stop what runs. What has landed stays, and the next try goes on from it."""
        if self._stop is not None:
            self._stop()
