"""Batches that are read while those before them are written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Full, Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ahead"]

_BATCHES = 4
_SECONDS = 0.1


def ahead(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of `reader`, some of them read before they are asked for, in a thread that ends with the iterator."""
    found: Queue[pa.RecordBatch | BaseException | None] = Queue(_BATCHES)
    done = threading.Event()

    def give(one: pa.RecordBatch | BaseException | None) -> None:
        while not done.is_set():
            try:
                found.put(one, timeout=_SECONDS)
                return
            except Full:
                continue

    def read() -> None:
        try:
            for batch in reader:
                give(batch)
                if done.is_set():
                    return
            give(None)
        except BaseException as error:
            give(error)

    thread = threading.Thread(target=read, name="sluicegate-read-ahead", daemon=True)
    thread.start()
    try:
        while (one := found.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        done.set()
        thread.join()
