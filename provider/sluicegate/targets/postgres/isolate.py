"""Finds the records that the target's own constraints refuse, so that the rest can go in.

Called when all records at once were refused. They are brought in by pieces, each under a savepoint of the load's
transaction: a piece that is refused is halved until the record stands alone. Few bad records cost few statements,
and when there are too many the search stops.
"""

from __future__ import annotations

import logging
import mmap
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Mode
from sluicegate.targets.postgres.upsert import STAGE, append, identifiers, stage_between, stale, upsert
from sluicegate.targets.target import Applied, Broken, Merge, Outcome, Table

__all__ = ["bring_all_but_broken", "puts_down_to_records"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_BUFFER = 4096
"""Records that are sent in one piece of COPY's stream."""
# A value that its type refuses, a constraint, an error that a trigger raised, a check option of a view.
_CLASSES = ("22", "23", "44", "45", "P0")
_TOO_LONG = "54000"  # program_limit_exceeded: a value that does not fit into an index entry
_CONSTRAINTS = """
SELECT c.conname, c.contype = 'f' AND c.confrelid = c.conrelid,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY place)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname = %s AND r.relname = %s
"""


def puts_down_to_records(error: psycopg.Error) -> bool:
    """Whether single records may be what the database refused."""
    state = error.sqlstate or ""
    return state.startswith(_CLASSES) or state == _TOO_LONG


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
    partitioned: bool,
) -> Applied:
    """Bring the records of `merge` in, but for those that the table refuses, until these are `too_many`.

    :param report: is told what is being done.
    :param partitioned: whether the table is.
    """
    rows = connection.execute(_CONSTRAINTS, [table.schema, table.table]).fetchall()
    constraints = {str(name): _Constraint(tuple(columns), bool(own)) for name, own, columns in rows}
    search = _Search(connection, constraints, too_many, lambda found: report(_phase(table, found)))
    position = _position_of(merge)
    with closing(_Records(merge.file)) as records:
        _create_stage(connection, table, merge, position)
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(STAGE, identifiers([position, *merge.columns]))

        def stage(low: int, high: int) -> None:
            with connection.cursor() as cursor, cursor.copy(copy) as sink:
                for chunk in records.numbered(low, high):
                    sink.write(chunk)

        search.sift(0, len(records), stage)
    outcome = Outcome()
    if not search.stopped:
        _index_stage(connection, table, merge, position)
        outcome = _bring(connection, table, merge, position, search, partitioned)
    return Applied(outcome, tuple(sorted(search.broken, key=lambda broken: broken.position)), search.stopped)


def _phase(table: Table, found: int) -> str:
    return f"looking for the records that {table.name} refuses ({found:,} found)"


def _bring(
    connection: Connection, table: Table, merge: Merge, position: str, search: _Search, partitioned: bool
) -> Outcome:
    name = sql.Identifier(table.schema, table.table)
    refused = sorted(broken.position for broken in search.broken)
    inserted, touched = 0, 0

    def bring(low: int, high: int) -> None:
        nonlocal inserted, touched
        source = stage_between(position, low, high)
        if merge.mode is Mode.APPEND:
            new = connection.execute(append(name, merge, source)).rowcount
            wanted = high - low - (bisect_left(refused, high) - bisect_left(refused, low))
            if new != wanted:
                raise fault(
                    "CONSTRAINT_VIOLATED",
                    f"{table.name} took {new:,} of {wanted:,} records: a trigger or a rule of the table keeps records "
                    "away, so that a load cannot be accounted for",
                )
            inserted, touched = inserted + new, touched + new
            return
        row = connection.execute(upsert(name, merge, source, partitioned=partitioned)).fetchone()
        assert row is not None
        inserted, touched = inserted + int(row[0]), touched + int(row[1])

    search.halves(0, merge.rows, bring)
    search.again(bring)
    if search.stopped:
        return Outcome()
    same = merge.rows - len(search.broken) - touched
    older = 0
    if same and merge.newest_by is not None:
        positions = [broken.position for broken in search.broken]
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(STAGE, sql.Identifier(position)), [positions]
        )
        row = connection.execute(stale(name, merge)).fetchone()
        older = min(int(row[0]) if row is not None else 0, same)
    return Outcome(inserted, touched - inserted, same - older, older)


def _position_of(merge: Merge) -> str:
    """A name for the column of positions that no column of the records has."""
    name = "sluicegate_position"
    while name in merge.columns:
        name += "_"
    return name


def _create_stage(connection: Connection, table: Table, merge: Merge, position: str) -> None:
    connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE sluicegate_stage ON COMMIT DROP AS SELECT 0::bigint AS {}, {} FROM {} WITH NO DATA"
        ).format(sql.Identifier(position), identifiers(merge.columns), sql.Identifier(table.schema, table.table))
    )


def _index_stage(connection: Connection, table: Table, merge: Merge, position: str) -> None:
    """Ready the stage for pieces of it.

    :raises FaultError: CONSTRAINT_VIOLATED when two records have what the table takes for one key.
    """
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(STAGE, sql.Identifier(position)))
    connection.execute(sql.SQL("ANALYZE {}").format(STAGE))
    if merge.mode is Mode.APPEND:
        return
    twice = sql.SQL("SELECT FROM {} GROUP BY {} HAVING count(*) > 1 LIMIT 1").format(STAGE, identifiers(merge.key))
    if connection.execute(twice).fetchone() is not None:
        raise same_key(table, merge.key)


def same_key(table: Table, key: Sequence[str]) -> Exception:
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

    def sift(self, low: int, high: int, bring: Callable[[int, int], None]) -> None:
        """Bring the records from `low` to before `high`, but for the broken ones, in their order."""
        pieces = [(low, high)]
        while pieces and not self.stopped:
            low, high = pieces.pop()
            try:
                with self._connection.transaction():
                    bring(low, high)
            except psycopg.Error as error:
                if not puts_down_to_records(error):
                    raise
                if high - low > 1:
                    middle = (low + high) // 2
                    pieces += [(middle, high), (low, middle)]
                else:
                    self._note(low, error)

    def halves(self, low: int, high: int, bring: Callable[[int, int], None]) -> None:
        """`sift` what is known to be refused as a whole, unless that was before records were left out."""
        if self.broken or high - low < 2:
            self.sift(low, high, bring)
            return
        middle = (low + high) // 2
        self.sift(low, middle, bring)
        self.sift(middle, high, bring)

    def again(self, bring: Callable[[int, int], None]) -> None:
        """Try once more those that may have missed a record of their own table, as long as that brings one in."""
        before = -1
        while self._later and not self.stopped and len(self._later) != before:
            before, waiting = len(self._later), list(self._later)
            self._later.clear()
            for position in reversed(waiting):
                self.sift(position, position + 1, bring)
        for broken in self._later.values():
            self._count(broken)

    def _note(self, position: int, error: psycopg.Error) -> None:
        constraint = self._constraints.get(error.diag.constraint_name or "")
        broken = Broken(position, *_rule_of(error, constraint.columns if constraint else ()))
        if constraint is not None and constraint.refers_to_itself:
            self._later[position] = broken
        else:
            self._count(broken)

    def _count(self, broken: Broken) -> None:
        self.broken.append(broken)
        self._report(len(self.broken))
        self.stopped = self._too_many(len(self.broken))


_COLUMN = re.compile(r"^COPY .*, column (?P<name>.+?)(?:: .*)?$", re.MULTILINE)
_FUNCTION = re.compile(r"^PL/pgSQL function (?P<name>[^\s(]+)\(")


def _rule_of(error: psycopg.Error, columns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of what was broken, and its columns. The message itself is left out: it may show values."""
    diag = error.diag
    if diag.constraint_name:
        return f"constraint:{diag.constraint_name}", tuple(columns)
    if diag.column_name:
        return f"required:{diag.column_name}", (diag.column_name,)
    context = diag.context or ""
    if column := _COLUMN.search(context):
        return f"type:{column['name']}", (column["name"],)
    if function := _FUNCTION.match(context):
        return f"constraint:{function['name']}()", ()
    if error.sqlstate == "23514" and diag.table_name:
        return "constraint:partition", ()
    if error.sqlstate == _TOO_LONG:
        return "constraint:index", ()
    return f"constraint:{error.sqlstate}", ()


class _Records:
    """A prepared CSV file by the position of its records."""

    def __init__(self, path: Path) -> None:
        self._ends = array("Q", [0])
        at = quotes = 0
        with path.open("rb") as file:
            for line in file:
                at += len(line)
                quotes += line.count(b'"')
                if quotes % 2 == 0:  # else a value that is quoted goes on in the next line
                    self._ends.append(at)
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def numbered(self, low: int, high: int) -> Iterator[bytes]:
        """The records from `low` to before `high`, each with its position as its first value."""
        for start in range(low, high, _BUFFER):
            yield b"".join(
                b"%d,%b" % (number, self._bytes[self._ends[number] : self._ends[number + 1]])
                for number in range(start, min(start + _BUFFER, high))
            )

    def close(self) -> None:
        self._bytes.close()
