"""One load into a Redshift table: a transaction there, under a lock in the database of its ledger."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from sluicegate.checks.sql import name_of
from sluicegate.faults import FaultError, fault
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.parquet.switch import carry_out
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.redshift import marks
from sluicegate.targets.redshift.catalog import STATE, exists, has_schema, inspect
from sluicegate.targets.redshift.changes import changes_of
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.dialect import RedshiftDialect, staged_type, stored_type, takes, type_name
from sluicegate.targets.redshift.journal import Journal
from sluicegate.targets.redshift.place import RedshiftTable, folded
from sluicegate.targets.redshift.staging import Staging
from sluicegate.targets.redshift.statements import (
    STAGE,
    add_column,
    append,
    broken_keys,
    bury,
    constant,
    copy_in,
    counts,
    create_deleted,
    create_stages,
    create_table,
    decide,
    decide_buried,
    fill_stage,
    leave_out,
    merge,
    replaced_where,
    twice,
)
from sluicegate.targets.redshift.switch import RedshiftSwitch
from sluicegate.targets.target import Applied, Broken, Changes, Merge, Outcome, Replaced, Stored, Table

__all__ = ["RedshiftSession"]

log = logging.getLogger("sluicegate.load")

Item = TypeVar("Item")
_DIALECT = RedshiftDialect()
_KEYS = 500
"""So many keys are looked up by one statement."""


class RedshiftSession:
    """See `Session`. `commit` commits the ledger with an intent, and then Redshift."""

    def __init__(
        self,
        ledger: psycopg.Connection[tuple[Any, ...]],
        connection: RedshiftConnection,
        place: RedshiftTable,
        switch: RedshiftSwitch,
        staging: Staging,
        role: str,
        work: Path,
        watch: Watch,
        *,
        dry_run: bool,
    ) -> None:
        self.ledger = PostgresLedger(ledger)
        self._ledger_connection, self._connection, self._place, self._switch = ledger, connection, place, switch
        self._staging, self._role, self._work, self._watch, self._dry_run = staging, role, work, watch, dry_run
        self._journal = Journal(connection)
        self._is_changed = False
        self.is_pending = False
        """Whether the load is in the ledger, and not known to be in Redshift."""
        self._begin()

    def _begin(self) -> None:
        self._watch.phase = f"waiting for the lock in Redshift on {self._place.name}"
        marks.begin(self._connection, self._place, dry_run=self._dry_run)

    @contextlib.contextmanager
    def changes(self) -> Iterator[None]:
        """Redshift has no savepoints: its whole transaction is undone, which has only this in it."""
        try:
            with self._ledger_connection.transaction():
                yield
        except BaseException:
            self._connection.rollback()
            self._journal.forget()
            self._is_changed = False
            if not self._connection.is_interrupted:
                self._begin()
            raise

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        now = inspect(self._connection, self._place)
        if now != seen:
            return False
        columns = {folded(name): type_ for name, type_ in wanted.items()}
        if len(columns) < len(wanted):
            raise fault("SCHEMA_MISMATCH", f"columns of {now.name} would differ by case alone, which Redshift ignores")
        new = {name: type_ for name, type_ in columns.items() if name not in now.columns}
        _require_known(now, new | {name: now.columns[name].type for name in columns if name in now.columns})
        if not now.exists:
            if not has_schema(self._connection, self._place.schema):
                self._journal.run(f"CREATE SCHEMA {name_of(self._place.schema)}")
            self._journal.run(create_table(self._place.quoted, columns, [folded(name) for name in key]))
        else:
            self._journal.run(*(add_column(self._place.quoted, name, type_) for name, type_ in new.items()))
        if new:
            self._is_changed = True
            shown = ", ".join(f"{name} {type_name(type_)}" for name, type_ in new.items())
            log.info("%s %s (%s)", "added to" if now.exists else "created", now.name, shown)
        return True

    def remove(self, replaced: Replaced) -> int:
        self._watch.phase = f"deleting the window from {self._place.name}"
        which = replaced_where(replaced.called({name: folded(name) for name in (replaced.column, *replaced.scope)}))
        count = int(self._journal.ask(f"SELECT count(*) FROM {self._place.quoted} WHERE {which}")[0][0])
        self._journal.run(f"DELETE FROM {self._place.quoted} WHERE {which}")
        self._is_changed |= count > 0
        return count

    def apply(self, merge: Merge, too_many: Callable[[int], bool]) -> Applied:
        if not merge.rows:
            return Applied(Outcome())
        columns = {folded(name): type_ for name, type_ in merge.columns.items()}
        key = [folded(name) for name in merge.key]
        newest_by = None if merge.newest_by is None else folded(merge.newest_by)
        appends = merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}
        self._watch.phase = f"staging {merge.rows:,} records for {self._place.name}"
        self._stage(merge, columns, numbered=appends and bool(key))
        self._watch.phase = f"bringing {merge.rows:,} records into {self._place.name}"
        before = self._rows()
        if appends:
            applied = self._append(merge, columns, key, too_many)
        else:
            applied = self._merge(merge, columns, key, newest_by)
        outcome = applied.outcome
        self._is_changed |= bool(outcome.inserted or outcome.updated or outcome.deleted)
        if not applied.stopped:
            self._require_sum(before + outcome.inserted - outcome.deleted, self._rows(), "rows of the table")
        return applied

    def _stage(self, merge: Merge, columns: Mapping[str, ColumnType], *, numbered: bool) -> None:
        words: dict[str, bool] = {"has_tombstones": merge.has_tombstones, "numbered": numbered}
        stored = None if any(words.values()) else _as_they_are(merge, columns)
        if stored is None:
            copied = {name: staged_type(type_) for name, type_ in columns.items()}
            copy = copy_in(self._staging.stage(merge, self._work, numbered=numbered), self._role)
        else:
            copied = {folded(name): stored_type(type_) for name, type_ in stored.columns.items()}
            copy = copy_in(self._staging.list_files(stored.uri, self._work), self._role, is_manifest=True)
        self._journal.run(*create_stages(columns, copied, **words), copy, fill_stage(columns, copied, **words))
        self._require_sum(merge.rows, int(self._journal.ask(f"SELECT count(*) FROM {STAGE}")[0][0]), "staged records")

    def _append(
        self, merge: Merge, columns: Mapping[str, ColumnType], key: Sequence[str], too_many: Callable[[int], bool]
    ) -> Applied:
        found = [int(row[0]) for row in self._journal.ask(broken_keys(self._place.quoted, key))] if key else []
        broken = tuple(Broken(position, "constraint:key", merge.key) for position in found)
        if too_many(len(broken)):
            return Applied(Outcome(), broken, stopped=True)
        self._journal.run(*(leave_out(some) for some in _by(found, _KEYS)))
        changes = self._changes(columns, []) if self._dry_run else None
        self._journal.run(append(self._place.quoted, list(columns)))
        return Applied(Outcome(inserted=merge.rows - len(broken)), broken, changes=changes)

    def _merge(
        self, merging: Merge, columns: Mapping[str, ColumnType], key: Sequence[str], newest_by: str | None
    ) -> Applied:
        table, gone = self._place.quoted, merging.has_tombstones
        for where, whose in ((table, "the table has rows"), (STAGE, "there are records")):
            if found := self._journal.ask(twice(where, key)):
                raise fault(
                    "SCHEMA_MISMATCH",
                    f"{whose} with the same key ({', '.join(key)}), so a merge into {self._place.name} cannot be made "
                    f"safe: nothing enforces a key in Redshift; take the surplus rows out ({len(found)} keys or more)",
                )
        self._journal.run(decide(table, columns, key, merging.mode, newest_by, has_tombstones=gone))
        self._decide_buried(columns, key, newest_by, gone=gone)
        fates = {str(fate): int(count) for fate, count in self._journal.ask(counts())}
        self._require_sum(merging.rows, sum(fates.values()), "records with a fate")
        changes = self._changes(columns, key) if self._dry_run else None
        self._journal.run(*merge(table, list(columns), key))
        stale = fates.pop("stale", 0) + fates.pop("buried", 0)
        return Applied(Outcome(stale=stale, **fates), changes=changes)

    def _decide_buried(
        self, columns: Mapping[str, ColumnType], key: Sequence[str], newest_by: str | None, *, gone: bool
    ) -> None:
        """Leave out what is older than the deletion of its key, and keep the versions of what is deleted now."""
        is_there = exists(self._connection, self._place.deleted)
        if newest_by is None or not (is_there or gone):
            return
        deleted = f"{STATE}.{self._place.deleted}"
        if not is_there:
            if not has_schema(self._connection, STATE):  # in a dry run
                self._journal.run(f"CREATE SCHEMA {STATE}")
            self._journal.run(create_deleted(deleted))
        self._journal.run(decide_buried(deleted, columns, key, newest_by))
        self._journal.run(*bury(deleted, columns, key, newest_by, has_tombstones=gone))
        self._is_changed = True

    def _changes(self, columns: Mapping[str, ColumnType], key: Sequence[str]) -> Changes:
        return changes_of(self._connection, self._place.quoted, columns, key)

    def _rows(self) -> int:
        return int(self._journal.ask(f"SELECT count(*) FROM {self._place.quoted}")[0][0])

    def _require_sum(self, wanted: int, found: int, what: str) -> None:
        if wanted != found:
            raise fault(
                "WAREHOUSE_ERROR",
                f"{self._place.name}: there should be {wanted:,} {what}, and there are {found:,}; nothing was changed",
            )

    def present(self, key: Sequence[str], values: Sequence[Sequence[str]]) -> list[bool]:
        table = inspect(self._connection, self._place)
        if not table.exists:
            return [False] * len(values)
        places = [folded(name) for name in key]
        types = [type_name(table.columns[name].type) for name in places]
        found: set[int] = set()
        for some in _by(enumerate(values), _KEYS):
            asked = " UNION ALL ".join(f"SELECT {number} AS n, {_typed(row, types)}" for number, row in some)
            same = " AND ".join(f"t.{name_of(name)} = k.k{number}" for number, name in enumerate(places))
            query = f"SELECT DISTINCT k.n FROM ({asked}) AS k JOIN {self._place.quoted} AS t ON {same}"
            found |= {int(number) for (number,) in self._connection.execute(query)}
        return [number in found for number in range(len(values))]

    def commit(self) -> None:
        self._watch.phase = f"committing to {self._place.name}"
        if not self._is_changed:
            self._ledger_connection.commit()
            return
        load = uuid.uuid4().hex
        self._journal.run(*marks.mark(self._place, load))
        intents = PostgresIntents(self._ledger_connection)
        intent = intents.note(self._place.name, {"mark": load, "journal": self._journal.entries})
        self.is_pending = True
        self._ledger_connection.commit()
        self._watch.phase = f"committing to {self._place.name}, which its ledger has already"
        try:
            if not intents.still(intent):
                raise fault("WAREHOUSE_BUSY", "the connection to the ledger was lost")
            self._connection.commit()
        except FaultError as failed:
            log.warning("%s did not say that it has committed (%s): looking", self._place.name, failed.code)
            self._connection.close()
            if not carry_out(self._ledger_connection, self._switch, intent):
                intents.revoke(intent, self._switch.lost)
                self._ledger_connection.commit()
                self.is_pending = False
                raise fault("WAREHOUSE_BUSY", f"{self._place.name} was changed by somebody else meanwhile") from failed
        else:
            self._staging.tidy()
            intents.done(intent)
        self._ledger_connection.commit()
        self.is_pending = False


def _as_they_are(merge: Merge, columns: Mapping[str, ColumnType]) -> Stored | None:
    """Where the records are as files that Redshift can copy by itself, with types that its columns take."""
    if (stored := merge.records.stored) is None or not stored.uri.startswith("s3://"):
        return None
    own = {folded(name): type_ for name, type_ in stored.columns.items()}
    if not (columns.keys() <= own.keys() and all(takes(type_, own[name]) for name, type_ in columns.items())):
        log.info("%s is not copied as it is: columns or types differ from those of the table", stored.uri)
        return None
    return stored


def _typed(texts: Sequence[str], types: Sequence[str]) -> str:
    each = enumerate(zip(texts, types, strict=True))
    return ", ".join(f"CAST({constant(text)} AS {type_}) AS k{number}" for number, (text, type_) in each)


def _by(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, count)):
        yield some


def _require_known(table: Table, columns: Mapping[str, ColumnType]) -> None:
    """:raises FaultError: SCHEMA_MISMATCH for a column of a type that does not come through Parquet."""
    wrong = [f"{name!r} {why}" for name, type_ in columns.items() if (why := _DIALECT.unusable_type(type_)) is not None]
    if wrong:
        raise fault("SCHEMA_MISMATCH", f"{table.name} takes no such columns: {'; '.join(wrong)}")
