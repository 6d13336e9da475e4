"""Lets every merge that may go by pieces do so, a record to a piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder

from sluicegate.targets.postgres import copy, pieces

if TYPE_CHECKING:
    import pytest

    from sluicegate.targets.stream import ArrowStream

__all__ = ["merge_by_pieces"]


def merge_by_pieces(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pieces, "_MANY", 0)
    patch.setattr(pieces, "_PIECE", 1)
    patch.setattr(copy, "as_binary", _by_record)


def _by_record(stream: ArrowStream) -> Iterator[bytes]:
    reader = pa.RecordBatchReader.from_stream(stream)
    for batch in reader:
        for number in range(batch.num_rows):
            encoder = ArrowToPostgresBinaryEncoder(reader.schema)
            encoder.write_header()
            record = encoder.write_batch(batch.slice(number, 1)) + encoder.finish()
            yield record.removesuffix(b"\xff\xff")
