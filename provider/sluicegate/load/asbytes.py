"""Bytes of a file that would become something else in a column of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluicegate.faults import fault
from sluicegate.records.reader import Reader
from sluicegate.records.types import ColumnType

__all__ = ["require_no_bytes"]

_BYTES = "BLOB"
"""As DuckDB calls them. Old files of Impala, Hive and Spark have texts that do not say that they are texts."""
_OTHER_TEXTS = {"citext", "name"}


def require_no_bytes(readers: Sequence[Reader], columns: Mapping[str, ColumnType], table: str) -> None:
    """:param columns: the types that the source's columns get.
    :raises FaultError: SCHEMA_MISMATCH where bytes go into a column of texts, or lists of bytes into an array.
    """
    for reader in readers:
        for name, kind in reader.types.items():
            type_ = columns.get(name)
            remedy = None if type_ is None else _remedy(kind, type_)
            if remedy is not None:
                detail = f"{reader.part.uri}: {name!r} is bytes in the file, and in {table} it is {type_}: {remedy}"
                raise fault("SCHEMA_MISMATCH", detail, uri=reader.part.uri)


def _remedy(kind: str, type_: ColumnType) -> str | None:
    """What is to be done where values of DuckDB's type `kind` would not stay what they are."""
    if kind == _BYTES and (type_.kind == "text" or type_.native in _OTHER_TEXTS):
        return (
            "write it as a text (STRING, UTF8), decode it in a `transform` (`decode(v)` in SQL), or have the column "
            "without a type in `columns`, and as a type of bytes in the table"
        )
    if type_.is_array and _BYTES in kind:
        return "an array takes lists of texts and numbers; write the bytes as texts, such as '\\x00ff' for a bytea[]"
    return None
