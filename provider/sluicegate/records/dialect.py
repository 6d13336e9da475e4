"""What reading and staging ask about the types of the database that the records go to. Implemented in `targets`."""

from __future__ import annotations

from typing import Protocol

from sluicegate.records.types import ColumnType

__all__ = ["Dialect"]


class Dialect(Protocol):
    """One database's names of types, and what it takes for equal or cannot store. SQL in and out is DuckDB's."""

    @property
    def binary(self) -> ColumnType:
        """The type of bytes."""

    def name(self, type_: ColumnType) -> str:
        """The type's name in the database's DDL."""

    def parse(self, text: str) -> ColumnType:
        """The type that the database calls `text`; one outside the vocabulary stays the database's own."""

    def identity(self, type_: ColumnType, value: str) -> str:
        """SQL by which two cast values are the same exactly when the database says so."""

    def refused(self, type_: ColumnType, value: str, *, nul: bool) -> list[str]:
        """SQL conditions, any of which is true where a cast `value` is one that the database cannot store.

        :param nul: whether texts may contain U+0000.
        """

    def unusable_column(self, name: str) -> str | None:
        """Why no column can be called `name`, or None: `has the name of ...`."""

    def unusable_type(self, type_: ColumnType) -> str | None:
        """Why no column that is loaded can be of the type, or None: `is ...`."""

    def binary_text(self, value: str) -> str:
        """SQL of the text by which the database reads `value`, which is bytes."""
