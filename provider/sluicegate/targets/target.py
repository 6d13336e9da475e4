"""The protocol of a target: a database that takes prepared records in one transaction, with the ledger beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sluicegate.ledger.entries import DeadLetter, Load, Origin
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType

__all__ = ["Merge", "Outcome", "Session", "Table", "TableColumn", "Target"]


@dataclass(frozen=True)
class TableColumn:
    """`fillable`: whether a record may lack it (it is nullable or has a default). `written`: whether it may have it."""

    type: ColumnType
    required: bool = False
    fillable: bool = True
    written: bool = True


@dataclass(frozen=True)
class Table:
    """A target table as it is; `columns` is empty while it does not exist. `name` is `schema.table`."""

    name: str
    schema: str
    table: str
    columns: Mapping[str, TableColumn] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return bool(self.columns)


@dataclass(frozen=True)
class Merge:
    """Prepared records: a CSV file with `columns`, distinct by `key` and in its order."""

    file: Path
    rows: int
    columns: Mapping[str, ColumnType]
    key: tuple[str, ...]
    mode: Mode
    newest_by: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of the prepared records."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0


class Session(Protocol):
    """One transaction that holds the target's lock. Nothing of it is kept unless `commit` returned."""

    def find(self, source: str, version: str, digest: str, *, ever: bool) -> Load | None: ...

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        """Create the table or add the columns of `wanted` that it lacks; False if it is not as `seen` any more."""

    def merge(self, merge: Merge) -> Outcome: ...

    def set_aside(self, digest: str, origin: Origin, letters: Iterable[DeadLetter]) -> None: ...

    def letters_that_are_open(self, origin: Origin) -> list[tuple[str, dict[str, str]]]: ...

    def resolve(self, ids: Sequence[str], run: str) -> int: ...

    def record(self, load: Load) -> None: ...

    def commit(self) -> None: ...


class Target(Protocol):
    """A table in a database."""

    def inspect(self) -> Table: ...

    def find(self, table: Table, source: str, version: str, digest: str, *, ever: bool) -> Load | None:
        """The quick lookup, without the lock."""

    def session(self, table: Table, *, dry_run: bool) -> AbstractContextManager[Session]: ...

    def cancel(self) -> None:
        """Stop the running statement, from another thread."""
