"""Lets every merge that may go by pieces do so, a record to a piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgpq import ArrowToPostgresBinaryEncoder

from sluicegate.targets.postgres import copy, pieces

if TYPE_CHECKING:
    import pyarrow as pa
    import pytest

__all__ = ["merge_by_pieces"]


def merge_by_pieces(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pieces, "_MANY", 0)
    patch.setattr(pieces, "_PIECE", 1)
    patch.setattr(copy, "as_binary", _by_record)


def _by_record(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    for batch in reader:
        for number in range(batch.num_rows):
            encoder = ArrowToPostgresBinaryEncoder(reader.schema)
            encoder.write_header()
            record = encoder.write_batch(batch.slice(number, 1)) + encoder.finish()
            yield record.removesuffix(b"\xff\xff")
