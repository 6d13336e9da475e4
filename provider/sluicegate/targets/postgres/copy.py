"""COPY of prepared records into Postgres: in its binary format, or as CSV where a type's binary form is not known.

Binary values are neither written as text here nor read as text there, which is most of what a COPY costs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from psycopg import Connection, sql

from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.merge import identifiers
from sluicegate.targets.target import Merge

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["as_binary", "as_csv", "copy_in"]

_DIALECT = PostgresDialect()


def copy_in(
    connection: Connection[tuple[Any, ...]],
    into: sql.Identifier,
    names: Sequence[str],
    merge: Merge,
    between: tuple[int, int] | None = None,
) -> int:
    """Write the records of `merge` into the columns `names` of `into`; returns how many the server took.

    :param names: the columns of `merge`, with one for the positions in front where only those `between` two positions
        are asked for, and one for tombstones behind where there are some.
    """
    types = tuple(merge.columns.values())
    binary = all(_DIALECT.has_binary(type_) for type_ in types)
    written = _DIALECT.binary_form if binary else _DIALECT.text_form
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        into, identifiers(names), sql.SQL("binary" if binary else "csv")
    )
    numbered = len(names) > len(types) + merge.has_tombstones
    with merge.records.read(types, written, between, numbered=numbered) as reader, connection.cursor() as cursor:
        with cursor.copy(statement) as sink:
            for chunk in as_binary(reader) if binary else as_csv(reader):
                sink.write(chunk)
        return cursor.rowcount


def as_binary(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    from pgpq import ArrowToPostgresBinaryEncoder

    encoder = ArrowToPostgresBinaryEncoder(reader.schema)
    yield encoder.write_header()
    for batch in reader:
        yield encoder.write_batch(batch)
    yield encoder.finish()


def as_csv(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    """NULL is a value without quotes, and an empty text one with."""
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
    for batch in reader:
        sink = io.BytesIO()
        csv.write_csv(batch, sink, options)
        yield sink.getvalue()
