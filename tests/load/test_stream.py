"""The stream of records from DuckDB to a target, without a database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from sluicegate.load.prepared import open_stream
from sluicegate.targets.stream import batches_of, reader_of

MANY = "SELECT range AS id, 'note ' || range AS note FROM range(100000) ORDER BY id DESC"


class PublicNames:
    """A cursor of a DuckDB that has no other."""

    def __init__(self, cursor: Any) -> None:
        self.sql, self.execute = cursor.sql, cursor.execute


@pytest.fixture
def cursor() -> Iterator[Any]:
    with duckdb.connect() as duck, duck.cursor() as cursor:
        yield cursor


@pytest.mark.parametrize("public", [False, True])
def test_records_stream_in_small_batches_and_in_order(cursor: Any, public: bool) -> None:
    assert hasattr(cursor, "_submit"), "of this DuckDB both ways are tested"
    batches = list(batches_of(reader_of(open_stream(PublicNames(cursor) if public else cursor, MANY))))
    assert {batch.num_rows for batch in batches[:-1]} == {8192}
    ids = [value for batch in batches for value in pa.record_batch(batch).column("id").to_pylist()]
    assert ids == list(range(99_999, -1, -1))


def test_an_error_in_the_middle_is_duckdb_s_own(cursor: Any) -> None:
    failing = "SELECT CASE WHEN range = 90000 THEN error('no such luck') ELSE range END FROM range(100000)"
    batches = batches_of(reader_of(open_stream(cursor, failing)))
    with pytest.raises(duckdb.Error, match="no such luck"):
        list(batches)


def test_an_interruption_is_one(cursor: Any) -> None:
    batches = batches_of(reader_of(open_stream(cursor, "SELECT md5(range::VARCHAR) FROM range(1000000000)")))
    next(batches)
    cursor.interrupt()
    with pytest.raises(duckdb.InterruptException):
        deque(batches, maxlen=0)
