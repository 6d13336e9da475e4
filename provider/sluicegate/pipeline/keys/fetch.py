"""The keys of a `fetch` step that say what is fetched. How to add one: see `base`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sluicegate.pipeline.keys.base import Arguments, Count, Duration, Mark, Name, Part, Positive, Uri

__all__ = ["Fetched", "Pages", "seconds_of"]

_RATE = re.compile(r"([1-9][0-9]*)/(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(rate: str) -> float:
    """Seconds between two requests at `rate`: `5/s`, `100/m`, `1000/h`.

    :raises ValueError: for anything else.
    """
    found = _RATE.fullmatch(rate.strip())
    if found is None:
        raise ValueError(f"expected a rate such as 5/s, 100/m or 1000/h, not {rate!r}")
    return _SECONDS[found[2]] / int(found[1])


class Pages(Part):
    """pages: how an API hands out what does not fit into one answer."""

    _blank: ClassVar[bool] = True

    by: Literal["link", "cursor", "next_url", "page", "offset"]
    """What leads to the next page: the `Link` header, a cursor or an address in the answer, or counting. Example:
    `cursor`."""
    path: Name | None = None
    """Where in the answer the cursor or the address is; for `page`, how many pages there are. Example: `meta.next`."""
    param: Name | None = None
    """The parameter that asks for a page. Default: `cursor`, `page` or `offset`, as `by` says. Example: `after`."""
    size: Positive | None = None
    """How many records to ask for at a time. Default: as the server likes. Example: `200`."""
    size_param: Name | None = None
    """The parameter that asks for so many. Default: `per_page` for pages, else `limit`. Example: `page_size`."""
    first: Count | None = None
    """The number of the first page, or the first offset. Default: 1 for `page`, 0 for `offset`. Example: `0`."""
    most: Positive = 100_000
    """More pages than that are taken for an error of the server. Example: `5000`."""

    @model_validator(mode="after")
    def _require_what_goes_together(self) -> Self:
        if self.by in {"cursor", "next_url"} and self.path is None:
            raise ValueError(f"`by: {self.by}` needs a `path`: where in the answer the next page is named")
        return self


class Fetched(Part):
    """What is fetched: rows of a database (`sql` and its `connection`), or records of an API (`api`)."""

    _blank: ClassVar[bool] = True

    sql: Name | None = None
    """A query. The values of its templates are bound, and are not in quotes. Example:
    `SELECT * FROM orders WHERE day = {{ ds }}`."""
    api: Uri | None = None
    """The address of an API that answers in JSON. Example: `https://api.example.com/v1/orders`."""
    connection: Name | None = None
    """The Airflow connection: to the database, or with the credentials of the API. Example: `shop`."""
    watermark: Name | None = None
    """A column of the query that only grows. A window gets what is newer than the window before it, a range that the
    ledger keeps. Example: `updated_at`."""
    lookback: Duration | None = None
    """How far below its range a window reads once more, for rows that came late. Example: `1h`."""
    since: Name | None = None
    """Where the first window begins, without that value itself. Default: with everything. Example: `2026-01-01`."""
    params: Arguments = Field(default_factory=dict)
    """Parameters of the API's address. Example: `{from: "{{ window.start.isoformat() }}"}`."""
    headers: Arguments = Field(default_factory=dict)
    """Headers of the request. Secrets belong into the connection. Example: `{Accept-Language: en}`."""
    body: Annotated[Mapping[str, Any] | None, Mark.ARGUMENTS] = None
    """What is sent as JSON. With it the request is a POST. Example: `{status: open}`."""
    records: Name | None = None
    """Where in the answer the list of records is. Default: the answer is the list. Example: `data.items`."""
    pages: Pages | None = None
    """How the API hands out further pages. Default: one answer is all. Example: `{by: link}`."""
    rate: Name | None = None
    """How many requests at most. Examples: `5/s`, `100/m`."""

    @model_validator(mode="after")
    def _require_one_kind(self) -> Self:
        if (self.sql is None) == (self.api is None):
            raise ValueError("expected one of `sql` and `api`")
        of_sql = {"watermark": self.watermark, "lookback": self.lookback, "since": self.since}
        of_api = {
            "params": self.params, "headers": self.headers, "body": self.body, "records": self.records,
            "pages": self.pages, "rate": self.rate,
        }  # fmt: skip
        kind, other = ("sql", of_api) if self.sql is not None else ("api", of_sql)
        if strange := [key for key, value in other.items() if value not in (None, {})]:
            raise ValueError(f"`{strange[0]}` does not go with `{kind}`")
        if self.sql is not None and self.connection is None:
            raise ValueError("`sql` needs a `connection`: the Airflow connection to the database")
        if self.watermark is None and (lone := [key for key, value in of_sql.items() if value is not None]):
            raise ValueError(f"`{lone[0]}` needs a `watermark`")
        if self.lookback is not None and self.lookback <= timedelta():
            raise ValueError("`lookback` is a duration such as 1h")
        if self.rate is not None:
            seconds_of(self.rate)
        return self
