"""Values as Postgres stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["storable"]


def storable(value: Any) -> Any:
    """`value` with U+0000 and halves of surrogate pairs, which Postgres does not store, spelt out."""
    if isinstance(value, str):
        return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(each) for each in value]
    return value
