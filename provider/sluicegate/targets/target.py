"""The protocols of a target: what is there, and one attempt to bring prepared records in.

Target and ledger are two things. How they become one is the target's commit strategy, and all of a load that differs
with it is behind `Session`: a database that holds the ledger too commits both in one transaction; one that cannot
would note its intent in the ledger, stage, switch and note that it is done, all in `commit`, and finish or undo an
intent that it finds when a session begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol

from sluicegate.ledger.entries import Origin
from sluicegate.ledger.ledger import Ledger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.dialect import Dialect
from sluicegate.records.types import ColumnType
from sluicegate.targets.stream import ArrowStream

__all__ = [
    "Applied", "Broken", "Change", "Changes", "Merge", "Outcome", "Records", "Replaced", "Session", "Stored",
    "StoredForm", "Table", "TableColumn", "Target",
]  # fmt: skip


@dataclass(frozen=True)
class TableColumn:
    """`fillable`: whether a record may lack it (it is nullable or has a default). `written`: whether it may have it.

    `labels` are all values of an enumeration.
    """

    type: ColumnType
    required: bool = False
    fillable: bool = True
    written: bool = True
    labels: tuple[str, ...] = ()


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

    def seen_as(self, names: Mapping[str, str]) -> Table:
        """The same table with columns under other names: `names` by its own."""
        return replace(self, columns={names.get(name, name): column for name, column in self.columns.items()})


class StoredForm(StrEnum):
    """How records are written that a target reads by itself: as Parquet, or in the text format of Postgres' COPY."""

    PARQUET = "parquet"
    TEXT = "text"


@dataclass(frozen=True)
class Stored:
    """Prepared records as files on object storage, which a target may read itself.

    All files below `uri`, which ends in `/`, are of them, but those whose names begin with `_` or `.`; `files` are
    their URIs in the order of the records, `region` that of the bucket. `columns` are the target's names in the order
    of the files' columns, with the types that the files have.
    """

    uri: str
    columns: Mapping[str, ColumnType]
    files: tuple[str, ...] = ()
    region: str = ""


class Records(Protocol):
    """Prepared records, no two with the same key. They can be read again and again."""

    @property
    def rows(self) -> int: ...

    @property
    def is_ordered(self) -> bool:
        """Whether they come in the order of their key; else, always in the same order."""

    @property
    def stored(self) -> Stored | None:
        """Where they all are, in any order, for a target that `takes_stored`. Reading them then brings them here."""

    def read(
        self,
        types: Sequence[ColumnType],
        written: Callable[[ColumnType, str], str],
        between: tuple[int, int] | None = None,
        *,
        numbered: bool = False,
    ) -> AbstractContextManager[ArrowStream]:
        """The records as Arrow batches.

        :param types: of the target's columns, in the order of the records' own.
        :param written: DuckDB's SQL of how a value of a type is written.
        :param between: only those from one position to before another.
        :param numbered: each behind its position, for some of them.
        """


@dataclass(frozen=True)
class Merge:
    """What is brought in: `records` of `columns`, distinct by `key`, if there is one.

    With `has_tombstones` a boolean behind the values of a record says that it deletes the row of its key.
    """

    records: Records
    columns: Mapping[str, ColumnType]
    key: tuple[str, ...]
    mode: Mode
    newest_by: str | None = None
    has_tombstones: bool = False
    batch_rows: int | None = None
    """The most records that are brought in by one statement."""

    @property
    def rows(self) -> int:
        return self.records.rows


@dataclass(frozen=True)
class Replaced:
    """The rows that a load replaces: those whose `column` is from `start` to before `end`, and that have one of the
    values in each column of `scope`. These are texts, which become of the column's type.
    """

    column: str
    start: date | datetime
    end: date | datetime
    scope: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def called(self, names: Mapping[str, str]) -> Replaced:
        """The same rows with columns under other names."""
        scope = {names.get(name, name): values for name, values in self.scope.items()}
        return replace(self, column=names.get(self.column, self.column), scope=scope)


@dataclass(frozen=True)
class Outcome:
    """What became of the prepared records."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True)
class Change:
    """One row before and after, as texts of the columns that differ. `before` is None where it would be new."""

    key: Mapping[str, str | None]
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None]


@dataclass(frozen=True)
class Changes:
    """What a dry run would change: by column, how many rows of the table, and some of them."""

    columns: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Broken:
    """A prepared record that the target refused: its position, from 0, and the rule that it breaks."""

    position: int
    rule: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What became of the prepared records, those that are `broken` left out. `stopped`: these were too many."""

    outcome: Outcome
    broken: tuple[Broken, ...] = ()
    stopped: bool = False
    changes: Changes | None = None
    """In a dry run."""


class Session(Protocol):
    """One attempt that holds the target's lock. Nothing of it is kept unless `commit` returned.

    `ledger` is the one that is committed together with the data.
    """

    @property
    def ledger(self) -> Ledger: ...

    def changes(self) -> AbstractContextManager[object]:
        """Around what is done to the data: undone when it is left by an exception, with the lock and ledger kept."""

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        """Create the table or add the columns of `wanted` that it lacks; False if it is not as `seen` any more."""

    def remove(self, replaced: Replaced) -> int:
        """Delete the rows that are replaced; returns how many there were."""

    def apply(self, merge: Merge, too_many: Callable[[int], bool]) -> Applied:
        """Bring the prepared records in, but for those that the target itself refuses.

        :param too_many: whether so many of these are more than the load may leave out.
        """

    def present(self, key: Sequence[str], values: Sequence[Sequence[str]]) -> list[bool]:
        """Whether the target has a row with each of these keys, whose values are texts."""

    def commit(self) -> None:
        """Keep data and ledger, both or neither."""


class Target(Protocol):
    """A table somewhere. `dialect` are its types. Within a `with` of it, what takes long to open is kept open."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def takes_stored(self) -> StoredForm | None:
        """The form in which it reads records from object storage itself, `Records.stored`; None if it does not."""

    def inspect(self) -> Table: ...

    def ledger(self) -> AbstractContextManager[Ledger]:
        """The ledger for a quick look, without the lock."""

    def alone(self, table: Table, origin: Origin) -> AbstractContextManager[None]:
        """Around a load of which no other run of its pipeline may load an overlapping window meanwhile.

        :raises FaultError: WRONG_USE when one does.
        """

    def session(self, table: Table, *, dry_run: bool) -> AbstractContextManager[Session]: ...

    def cancel(self) -> None:
        """Stop what is running, from another thread."""
