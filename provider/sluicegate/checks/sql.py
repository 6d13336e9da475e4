"""Texts and names as parts of DuckDB's SQL, quoted. Postgres' SQL is put together by psycopg instead."""

from __future__ import annotations

__all__ = ["literal", "name_of", "pointer"]


def literal(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def name_of(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def pointer(key: str) -> str:
    """The JSON pointer (RFC 6901) of a top-level key."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
