"""One fetch, from the request to the marker. Knows no Airflow; memory does not grow with what is fetched."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import FaultError
from sluicegate.graph.template import render, uses
from sluicegate.graph.window import Window
from sluicegate.ledger.watermarks import Mark, Range, Reader, Watermarks
from sluicegate.pipeline.keys.fetch import Fetched
from sluicegate.sources.api import Api, rendered
from sluicegate.sources.landing import Landing
from sluicegate.sources.ranges import doubts_of, next_range
from sluicegate.sources.sql import Database
from sluicegate.sources.statement import Statement, statement_of
from sluicegate.storage import Storage
from sluicegate.storage.web import Web

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FetchReport", "FetchRequest", "fetch_api", "fetch_sql"]

log = logging.getLogger("sluicegate.load")

PART_ROWS = 1_000_000
"""Of a part of a query."""
PART_BYTES = 1 << 20
"""Of the records of an API that are landed together, before compression: small pages do not become small files."""
PART_SECONDS = 10.0
"""After so long what has come is landed, however little it is."""
SAMPLE = 100
"""Rows that a dry run reads."""


@dataclass(frozen=True)
class FetchRequest:
    """One run of a fetch. `since`: begin at this value of the watermark, whatever is known."""

    fetched: Fetched
    folder: str
    window: Window
    params: Mapping[str, Any]
    names: Mapping[str, Any]
    """What templates know besides: the `item` of a mapped step."""
    reader: Reader
    run_id: str | None = None
    dry_run: bool = False
    force: bool = False
    since: str | None = None

    @property
    def scope(self) -> Reader:
        """Who reads: a query that uses params, or an item, reads a part of its own for each of their values."""
        used = uses(self.fetched.sql or "")
        words = {name: self.params.get(name.removeprefix("params.")) for name in used if name.startswith("params.")}
        words |= {name: value for name, value in self.names.items() if name in used}
        scope = json.dumps(words, sort_keys=True, default=str) if words else ""
        return Reader(self.reader.pipeline, self.reader.step, scope)


@dataclass(frozen=True)
class FetchReport:
    """What was fetched. `resumed`: the pages that another try had landed."""

    folder: str
    rows: int
    parts: int
    pages: int = 0
    resumed: int = 0
    range: Range | None = None
    columns: tuple[str, ...] = ()
    dry_run: bool = False

    def as_dict(self) -> dict[str, object]:
        """JSON values: what goes to XCom."""
        found: dict[str, object] = {"status": "dry_run" if self.dry_run else "fetched", "folder": self.folder}
        found |= {"rows": self.rows, "parts": self.parts, "pages": self.pages, "resumed": self.resumed}
        return found | ({} if self.range is None else {"range": str(self.range)})

    def facts(self) -> dict[str, object]:
        """What a receipt and the metrics say of it."""
        of_pages = {"pages": self.pages, "resumed": self.resumed} if self.pages else {}
        found: dict[str, object] = {"status": "dry_run" if self.dry_run else "fetched", "counts": {"read": self.rows}}
        found["outputs"] = [{"uri": self.folder, "parts": self.parts, "rows": self.rows}]
        return found | of_pages | ({} if self.range is None else {"range": str(self.range)})

    def line(self) -> str:
        """`fetched 1,200 rows in 2 parts into s3://raw/orders/`."""
        of = f" of {self.pages:,} pages" if self.pages else ""
        of += f", {self.resumed:,} of them by an earlier try" if self.resumed else ""
        of += f", above and up to {self.range}" if self.range is not None else ""
        if self.dry_run:
            names = f" with {', '.join(self.columns)}" if self.columns else ""
            return f"dry run, nothing landed: {self.rows:,} rows{of} seen{names}"
        return f"fetched {self.rows:,} rows{of} in {self.parts:,} parts into {self.folder}"


def fetch_sql(
    request: FetchRequest, database: Database, storage: Storage, work: Path, watermarks: Watermarks | None
) -> FetchReport:
    """Land the rows of a query as Parquet.

    :raises ValueError: when the query's templates cannot be filled in.
    """
    asked = request.fetched
    assert asked.sql is not None
    statement = statement_of(asked.sql, request.window, request.params, **request.names)
    found: Range | None = None
    if asked.watermark is not None:
        assert watermarks is not None
        found = _range(request, statement, database, watermarks)
        for doubt in doubts_of(found, asked.lookback, datetime.now(UTC)):
            log.warning("%s: %s", asked.watermark, doubt)
        statement = _narrowed(statement, database.column(asked.watermark), found, asked.lookback)
    most = SAMPLE if request.dry_run else None
    with database.read(statement, most) as (schema, batches):
        if request.dry_run:
            rows = sum(batch.num_rows for batch in batches)
            return FetchReport(request.folder, rows, 0, range=found, columns=tuple(schema.names), dry_run=True)
        landing = Landing(storage, request.folder, _digest("sql", statement), work)
        landing.begin(anew=True)
        for batch in _parts(batches, schema, landing, work):
            landing.add(*batch)
    landing.finish({} if found is None else {"range": str(found)})
    done = landing.progress
    return FetchReport(request.folder, done.rows, len(done.parts), range=found)


def _range(request: FetchRequest, statement: Statement, database: Database, watermarks: Watermarks) -> Range:
    asked = request.fetched
    assert asked.watermark is not None
    column = asked.watermark

    def newest(low: Mark | None, most: Mark | None) -> Mark | None:
        ends = (None if end is None else end.value for end in (low, most))
        value = database.newest(statement.narrowed(database.column(column), *ends), column)
        return None if value is None else Mark.of(value)

    def decide(known: Any) -> Range:
        return next_range(known, newest, since=request.since, first=asked.since, anew=request.force)

    if request.dry_run:
        return decide(watermarks.known(request.scope, request.window))
    return watermarks.agree(request.scope, request.window, request.run_id, decide)


def _narrowed(statement: Statement, column: str, found: Range, lookback: timedelta | None) -> Statement:
    if found.high is None or found.is_empty:
        return statement.without_rows()
    found.high.minus(lookback)  # what has no moments says so in its first window
    low = None if found.low is None else found.low.minus(lookback)
    return statement.narrowed(column, low, found.high.value)


def _parts(batches: Any, schema: pa.Schema, landing: Landing, work: Path) -> Any:
    """Files of at most so many rows, each with its rows; one without rows where there are none."""
    import pyarrow.parquet as pq

    waiting = next(batches, None)
    while waiting is not None:
        path, rows = work / landing.name(".parquet"), 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while waiting is not None and rows < PART_ROWS:
                writer.write_batch(waiting)
                rows += waiting.num_rows
                waiting = next(batches, None)
        yield path, rows
        path.unlink()


def fetch_api(
    request: FetchRequest, web: Web, storage: Storage, work: Path, clock: Callable[[], float] = time.monotonic
) -> FetchReport:
    """Land the records of an API as JSON lines, page after page. Another try goes on behind the last part.

    :raises ValueError: when the templates cannot be filled in.
    """
    asked = rendered(
        request.fetched,
        lambda words: render(words, window=request.window, params=request.params, **request.names),
    )
    api = Api(asked, web, clock)
    if request.dry_run:
        page = next(api.pages())
        return FetchReport(request.folder, len(page.lines), 0, 1, columns=_keys(page.lines), dry_run=True)
    digest = _digest("api", asked.model_dump_json())
    landing = Landing(storage, request.folder, digest, work)
    left = landing.begin(anew=request.force)
    resumed = left.pages
    if left.state is None or not left.state.get("done"):
        try:
            _land(api, landing, work, clock)
        except FaultError as error:
            # A cursor may have run out since: then there is nothing to go on from.
            if (
                not resumed
                or landing.progress.pages > resumed
                or error.code not in {"SOURCE_REJECTED", "SOURCE_MISSING"}
            ):
                raise
            resumed = 0
            landing.begin(anew=True)
            _land(api, landing, work, clock)
    landing.finish({"api": asked.api})
    done = landing.progress
    return FetchReport(request.folder, done.rows, len(done.parts), done.pages, resumed)


def _land(api: Api, landing: Landing, work: Path, clock: Callable[[], float]) -> None:
    lines: list[str] = []
    size = pages = 0
    since = clock()
    for page in api.pages(landing.progress.state):
        lines += page.lines
        size += sum(map(len, page.lines))
        pages += 1
        if page.state is not None and size < PART_BYTES and clock() - since < PART_SECONDS:
            continue
        state = {"done": True} if page.state is None else page.state
        path = work / landing.name(".jsonl.gz")
        # No name and no time of day in the file: equal records, equal bytes.
        with path.open("wb") as sink, gzip.GzipFile("", "wb", 6, sink, mtime=0) as packed:
            packed.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
        landing.add(path, len(lines), pages=pages, state=state)
        path.unlink()
        lines, size, pages, since = [], 0, 0, clock()


def _keys(lines: tuple[str, ...]) -> tuple[str, ...]:
    keys: dict[str, None] = {}
    for line in lines:
        with suppress(ValueError):
            keys |= dict.fromkeys(json.loads(line))
    return tuple(keys)


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()
