"""Hive's partition folders: `day=2026-01-01/` in the way to a file is a column of all of its records. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from sluicegate.faults.errors import fault

__all__ = ["partition_values"]

_NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call the folder of the records without a value."""


def partition_values(uri: str) -> Mapping[str, str | None]:
    """The values that the folders in `uri` name, by column; None for NULL. Names and values are URL-decoded.

    :raises FaultError: SOURCE_UNREADABLE when two folders name a column and do not agree, or what is encoded is not
        UTF-8.
    """
    scheme, _, rest = uri.rpartition("://")
    if scheme in {"http", "https", "table", "iceberg"}:
        return {}
    values: dict[str, str | None] = {}
    for folder in rest.split("/")[:-1]:
        encoded, separator, text = folder.partition("=")
        name = _decoded(encoded, uri) if separator else ""
        if not name or name.startswith((".", "_")):
            continue
        value = None if text in {"", _NULL} else _decoded(text, uri)
        if values.setdefault(name, value) != value:
            raise fault("SOURCE_UNREADABLE", f"{uri} is in two folders of {name!r} that do not agree", uri=uri)
    return values


def _decoded(text: str, uri: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise fault("SOURCE_UNREADABLE", f"{uri}: the folder {text!r} is not URL-encoded UTF-8", uri=uri) from error
