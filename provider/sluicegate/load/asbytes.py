"""Bytes of a file that would become something else in a column of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluicegate.faults import fault
from sluicegate.records.reader import Reader
from sluicegate.records.types import ColumnType

__all__ = ["require_no_bytes"]


def require_no_bytes(readers: Sequence[Reader], columns: Mapping[str, ColumnType], table: str) -> None:
    """:raises FaultError: SCHEMA_MISMATCH where bytes in lists go into an array."""
    for reader in readers:
        for name, kind in reader.types.items():
            type_ = columns.get(name)
            if type_ is not None and type_.is_array and "BLOB" in kind:
                detail = f"{reader.part.uri}: {name!r} has bytes in lists, and in {table} it is {type_}, which "
                detail += "takes lists of texts and numbers: write the bytes as texts, such as '\\x00ff' for a bytea[]"
                raise fault("SCHEMA_MISMATCH", detail, uri=reader.part.uri)
