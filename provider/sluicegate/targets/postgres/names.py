"""Names that Postgres cannot give to a column or a table. Pure, and light to import."""

from __future__ import annotations

__all__ = ["too_long", "unusable_column"]

_BYTES = 63
"""Postgres cuts longer names without an error (NAMEDATALEN - 1)."""
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


def too_long(name: str) -> str | None:
    """Why Postgres would cut `name`, or None."""
    size = len(name.encode("utf-8", "surrogatepass"))
    return f"has {size} bytes, and Postgres cuts names to {_BYTES}" if size > _BYTES else None


def unusable_column(name: str) -> str | None:
    """Why no column can be called `name`, or None."""
    if name in _SYSTEM_COLUMNS:
        return "has the name of a system column, which each table of Postgres has already"
    return too_long(name)
