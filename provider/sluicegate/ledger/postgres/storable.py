"""Values as Postgres stores them."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

import psycopg

__all__ = ["encoding_of", "storable"]

_UTF8 = "utf-8"
_SPELT_OUT = "sluicegate_spelt_out"


def encoding_of(connection: psycopg.Connection[Any]) -> str:
    """Python's name of the database's own encoding; one that has all characters for a database that asks for none, and
    one that has the fewest where Python does not know it.
    """
    name = (connection.info.parameter_status("server_encoding") or "").lower()
    if name in {"utf8", "sql_ascii", ""}:
        return _UTF8
    try:
        return codecs.lookup(name.replace("win", "cp")).name
    except LookupError:
        return "ascii"


def storable(value: Any, encoding: str = _UTF8) -> Any:
    """`value` with what the database does not store spelt out: U+0000, halves of surrogate pairs, and characters that
    its `encoding` does not have, those as JSON has them.
    """
    if isinstance(value, str):
        return value.replace("\0", "\\x00").encode(encoding, _SPELT_OUT).decode(encoding)
    if isinstance(value, Mapping):
        return {storable(name, encoding): storable(each, encoding) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(each, encoding) for each in value]
    return value


def _spelt_out(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


codecs.register_error(_SPELT_OUT, _spelt_out)
