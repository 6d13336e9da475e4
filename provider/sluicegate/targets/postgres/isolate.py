"""Finds the records that the target's own constraints refuse, so that the rest can go in.

Called when all records at once were refused. They are brought in by pieces, each under a savepoint of the load's
transaction: a piece that is refused is halved, and a small one goes in one by one. Few bad records cost few
statements, and when there are too many the search stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.keys.model import Mode
from sluicegate.targets.postgres.changes import changes_of
from sluicegate.targets.postgres.copy import copy_in
from sluicegate.targets.postgres.merge import STAGE, identifiers, stage_between
from sluicegate.targets.postgres.merger import Merger, keeps_records_away
from sluicegate.targets.postgres.refusal import (
    KEPT_AWAY,
    ONE_BY_ONE,
    Refusal,
    can_go_one_by_one,
    puts_down_to_records,
    rule_of,
)
from sluicegate.targets.postgres.stage import create_stage, stage_columns
from sluicegate.targets.target import Applied, Broken, Merge, Outcome, Table

__all__ = ["bring_all_but_broken", "same_key"]

Connection = psycopg.Connection[tuple[Any, ...]]
Bring = Callable[[int, int], None]
OneByOne = Callable[[int, int], Iterable[tuple[int, Refusal]]]

_FEW = 256
"""A piece of so many records is not halved any more: one by one in the server is quicker."""
_CONSTRAINTS = """
SELECT c.conname, c.contype = 'f' AND c.confrelid = c.conrelid,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY place)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname = %s AND r.relname = %s
"""


@dataclass(frozen=True)
class _Constraint:
    columns: tuple[str, ...]
    refers_to_itself: bool


def bring_all_but_broken(
    connection: Connection,
    table: Table,
    merge: Merge,
    too_many: Callable[[int], bool],
    report: Callable[[str], None],
    *,
    dry_run: bool,
) -> Applied:
    """Bring the records of `merge` in, but for those that the table refuses, until these are `too_many`.

    :param report: is called with what is being done.
    :param dry_run: whether to undo it and say what it changed.
    """
    rows = connection.execute(_CONSTRAINTS, [table.schema, table.table]).fetchall()
    constraints = {str(name): _Constraint(tuple(columns), bool(own)) for name, own, columns in rows}
    search = _Search(connection, constraints, too_many, lambda found: report(_phase(table, found)))
    position = _position_of(merge)
    create_stage(connection, table, merge, position)
    names = stage_columns(merge, position)

    def stage(low: int, high: int) -> None:
        copy_in(connection, STAGE, names, merge, (low, high))

    search.sift(0, merge.rows, stage)
    outcome, changes = Outcome(), None
    if not search.stopped:
        _index_stage(connection, table, merge, position)
        with connection.transaction(force_rollback=dry_run):
            outcome = _bring(connection, table, merge, position, search)
        if dry_run:
            _drop_broken(connection, position, search)
            changes = changes_of(connection, sql.Identifier(table.schema, table.table), merge)
    broken = tuple(sorted(search.broken, key=lambda broken: broken.position))
    return Applied(outcome, broken, search.stopped, changes)


def _phase(table: Table, found: int) -> str:
    return f"looking for the records that {table.name} refuses ({found:,} found)"


def _bring(connection: Connection, table: Table, merge: Merge, position: str, search: _Search) -> Outcome:
    merger = Merger(connection, table, merge)
    buried = merger.leave_out_buried()
    sum_ = Outcome(stale=buried)

    def staged(low: int, high: int) -> int:
        piece = stage_between(position, low, high)
        row = connection.execute(sql.SQL("SELECT count(*) FROM {} AS s").format(piece)).fetchone()
        assert row is not None
        return int(row[0])

    def bring(low: int, high: int) -> None:
        nonlocal sum_
        sum_ += merger.run(staged(low, high), stage_between(position, low, high))

    def one_by_one(low: int, high: int) -> Iterator[tuple[int, Refusal]]:
        nonlocal sum_
        refused = 0
        try:
            rows = connection.execute(ONE_BY_ONE, [low, high]).fetchall()
        except psycopg.Error as error:
            if error.sqlstate == KEPT_AWAY:
                raise keeps_records_away(table, 0, 1) from error
            raise
        for at, changed, *facts in rows:
            if at is None:
                sum_ += merger.outcome(staged(low, high) - refused, int(changed), *map(int, facts[-3:]))
            else:
                refused += 1
                yield int(at), Refusal(*(fact or None for fact in facts[:-3]))

    alone = one_by_one if can_go_one_by_one(connection, position, merger) else None
    search.halves(0, merge.rows, bring, alone)
    search.again(bring)
    if search.stopped:
        return Outcome()
    _drop_broken(connection, position, search)
    merger.bury()
    came = merge.rows - len(search.broken)
    if merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW} and sum_.inserted != came:
        raise keeps_records_away(table, sum_.inserted, came)
    return sum_


def _drop_broken(connection: Connection, position: str, search: _Search) -> None:
    """Take the records that were refused out of the stage."""
    places = sql.Literal([broken.position for broken in search.broken])
    drop = sql.SQL("DELETE FROM {} WHERE {} = ANY({}::bigint[])").format(STAGE, sql.Identifier(position), places)
    connection.execute(drop)


def _position_of(merge: Merge) -> str:
    """A name for the column of positions that no column of the records has."""
    name = "sluicegate_position"
    while name in merge.columns:
        name += "_"
    return name


def _index_stage(connection: Connection, table: Table, merge: Merge, position: str) -> None:
    """Ready the stage for pieces of it.

    :raises FaultError: CONSTRAINT_VIOLATED when two records have what the table takes for one key.
    """
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(STAGE, sql.Identifier(position)))
    connection.execute(sql.SQL("ANALYZE {}").format(STAGE))
    if merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}:
        return
    twice = sql.SQL("SELECT FROM {} GROUP BY {} HAVING count(*) > 1 LIMIT 1").format(STAGE, identifiers(merge.key))
    if connection.execute(twice).fetchone() is not None:
        raise same_key(table, merge.key)


def same_key(table: Table, key: Sequence[str]) -> FaultError:
    return fault(
        "CONSTRAINT_VIOLATED",
        f"two records have a key ({', '.join(key)}) that is different as text and the same to {table.name} "
        "(a collation or a type that ignores case or blanks): make the key the same in the source",
    )


class _Search:
    """The records that are refused, found so far; `stopped` once they are too many."""

    def __init__(
        self,
        connection: Connection,
        constraints: Mapping[str, _Constraint],
        too_many: Callable[[int], bool],
        report: Callable[[int], None],
    ) -> None:
        self._connection, self._constraints = connection, constraints
        self._too_many, self._report = too_many, report
        self.broken: list[Broken] = []
        self.stopped = False
        # Those that refer to a record of their own table, which may be in another piece.
        self._later: dict[int, Broken] = {}

    def sift(self, low: int, high: int, bring: Bring, one_by_one: OneByOne | None = None) -> None:
        """Bring the records from `low` to before `high`, but for the broken ones, in their order.

        :param one_by_one: brings a few records, each on its own, and returns those that were refused.
        """
        pieces = [(low, high)]
        while pieces and not self.stopped:
            low, high = pieces.pop()
            try:
                with self._connection.transaction():
                    bring(low, high)
            except psycopg.Error as error:
                if not puts_down_to_records(error):
                    raise
                if high - low == 1:
                    self._note(low, Refusal.of(error))
                elif one_by_one is not None and high - low <= _FEW:
                    for position, refusal in one_by_one(low, high):
                        self._note(position, refusal)
                else:
                    middle = (low + high) // 2
                    pieces += [(middle, high), (low, middle)]

    def halves(self, low: int, high: int, bring: Bring, one_by_one: OneByOne | None) -> None:
        """`sift` what is known to be refused as a whole, unless that was before records were left out."""
        if self.broken or high - low < 2:
            self.sift(low, high, bring, one_by_one)
            return
        middle = (low + high) // 2
        self.sift(low, middle, bring, one_by_one)
        self.sift(middle, high, bring, one_by_one)

    def again(self, bring: Bring) -> None:
        """Try once more those that may have missed a record of their own table, as long as that brings one in."""
        before = -1
        while self._later and not self.stopped and len(self._later) != before:
            before, waiting = len(self._later), list(self._later)
            self._later.clear()
            for position in reversed(waiting):
                self.sift(position, position + 1, bring)
        for broken in self._later.values():
            self._count(broken)

    def _note(self, position: int, refusal: Refusal) -> None:
        constraint = self._constraints.get(refusal.constraint or "")
        broken = Broken(position, *rule_of(refusal, constraint.columns if constraint else ()))
        if constraint is not None and constraint.refers_to_itself:
            self._later[position] = broken
        else:
            self._count(broken)

    def _count(self, broken: Broken) -> None:
        if self.stopped:
            return
        self.broken.append(broken)
        self._report(len(self.broken))
        self.stopped = self._too_many(len(self.broken))
