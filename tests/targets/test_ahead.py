"""Reading ahead: all batches in their order, errors where they happen, no thread that is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from sluicegate.targets.ahead import ahead

SCHEMA = pa.schema([pa.field("n", pa.int64())])


def batches(count: int, error: Exception | None = None) -> pa.RecordBatchReader:
    def each() -> Iterator[pa.RecordBatch]:
        for number in range(count):
            yield pa.RecordBatch.from_pydict({"n": [number]}, schema=SCHEMA)
        if error is not None:
            raise error

    return pa.RecordBatchReader.from_batches(SCHEMA, each())


def test_all_batches_come_in_their_order() -> None:
    assert [batch["n"][0].as_py() for batch in ahead(batches(50))] == list(range(50))


def test_an_error_comes_after_what_was_read_before_it() -> None:
    several = ahead(batches(3, ValueError("broken")))
    assert [next(several)["n"][0].as_py() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(several)


def test_what_is_left_early_leaves_no_thread() -> None:
    several = ahead(batches(100))
    next(several)
    several.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "sluicegate-ahead"]


def test_no_more_is_made_ahead_than_may_wait() -> None:
    made: list[int] = []
    third = threading.Event()

    def sizes() -> Iterator[int]:
        for number in (5, 5, 50, 1):
            made.append(number)
            yield number
            if len(made) == 3:
                third.set()

    several = ahead(sizes(), most=10, size=lambda number: number)
    assert next(several) == 5
    assert made != [5, 5, 50, 1]
    assert next(several) == 5
    assert next(several) == 50
    assert third.wait(180)
    assert list(several) == [1]
