"""The stage: DuckDB casts, checks, dedupes and sorts the records of all parts, under a fixed memory limit.

What is bad is set aside with all of its reasons, never raised. Nothing here knows the target's database: the
outcome is a stream of records in key order, and an iterator of dead letters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError
from sluicegate.ledger.entries import DeadLetter
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.closing import Closing
from sluicegate.load.early import EarlyStop, Stopped
from sluicegate.load.judge import Judge, Warned
from sluicegate.load.letters import (
    absent_of,
    failures_of,
    header_of,
    identity_sql,
    is_complete,
    record_of,
    record_sql,
    version_sql,
)
from sluicegate.load.long import prepared_of
from sluicegate.load.parsed import execute
from sluicegate.load.prepared import Prepared
from sluicegate.load.results import Results
from sluicegate.load.staged import FAILED, Staged
from sluicegate.records.casts import Cast
from sluicegate.records.dialect import Dialect
from sluicegate.records.lines import KEPT
from sluicegate.records.reader import Reader, Shape
from sluicegate.records.scope import Values, condition
from sluicegate.records.together import Together, in_groups
from sluicegate.targets.target import Broken

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Stage"]

_FETCH = 5_000
"""Records, and at most about so many bytes of them."""
_FETCH_BYTES = 4_000_000
_OUT_OF_SCOPE = -1
"""What stands for a rule's number where a record is left out."""


class Stage:
    """The records of one load. Call `fill`, then `dedupe`, then the rest.

    :param casts: the columns to bring, in order, and how their values are made.
    :param rules: what is asked of the records; compiled here, or carried out by Great Expectations.
    :param dialect: what the target takes for equal, and what it cannot store.
    :param references: by column that refers to another dataset, the table of DuckDB with the values it may have.
    :param scope: what the records are narrowed to, by values that `read_values` gave.
    :param outside: the rule that a record out of the scope breaks; None leaves such records out.
    :param delete_when: which of them delete the row of their key, likewise.
    :param size: bytes of all that will be read, where they are known.
    :raises FaultError: CHECK_BROKEN when a rule cannot be carried out.
    """

    def __init__(
        self,
        duck: DuckDBPyConnection,
        casts: Mapping[str, Cast],
        rules: Sequence[Rule],
        dialect: Dialect,
        *,
        key: Sequence[str] = (),
        newest_by: str | None = None,
        sensitive: frozenset[str] = frozenset(),
        scope: Values | None = None,
        outside: Rule | None = None,
        delete_when: Values | None = None,
        references: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> None:
        self._duck, self._size = duck, size
        self._scope, self._delete_when = scope or {}, delete_when or {}
        self._staged = Staged(
            duck, casts, dialect, key=key, newest_by=newest_by, has_tombstones=bool(self._delete_when)
        )
        self._judge = self._judge_of(rules, references)
        self._outside = _OUT_OF_SCOPE if outside is None else self._judge.more(outside)
        self._key, self._sensitive = tuple(key), sensitive
        self._readers: list[Reader] = []
        self._prepared: Prepared | None = None
        self._unwritten: Collection[str] = ()
        self._bad = BadFiles(allowed=False)
        self.read = self.dead = 0
        self.stopped: Stopped | None = None
        """Where reading stopped, because there were too many dead letters already."""
        self.left_out = 0
        """Records that were read and are out of the scope."""

    def _judge_of(self, rules: Sequence[Rule], references: Mapping[str, str] | None) -> Judge:
        return Judge(self._staged, rules, references)

    @property
    def deduplicated(self) -> int:
        return self._staged.deduplicated

    # --- fill ---------------------------------------------------------------------------------------------------

    def fill(
        self,
        readers: Sequence[Reader],
        bad: BadFiles | None = None,
        allowed: Callable[[int | None], int | None] = lambda most: None,
    ) -> None:
        """Read, cast and check all parts in one pass each; then whatever looks at several records at once.

        :param allowed: so many of so many records at most may be dead, see `EarlyStop`; with more, what is left is not
            read.
        """
        self._staged.create()
        self._readers = list(readers)
        self._bad = bad = BadFiles(allowed=False) if bad is None else bad
        early = EarlyStop(self._staged, bad, allowed, self._sure)
        done = 0
        for group in in_groups(readers, early.look, same_names=bool(self._sensitive)):
            for some in [group] if self._insert_together(group) else ([reader] for reader in group):
                done += len(some)
                left, enough = readers[done:], None
                if len(some) == 1:
                    enough = self._insert_one(some[0], left, early)
                if enough is not None or early.between(left):
                    self.stopped = Stopped(some[-1].part.uri, enough, some[-1].most, len(left))
                    break
            if self.stopped is not None:
                break
        if self._scope and self._outside == _OUT_OF_SCOPE:
            self.left_out = self._staged.drop(f"list_contains(aside[1].failed, {_OUT_OF_SCOPE})")
        if self.stopped is None:
            self._judge.judge_together()
        failed = f"count(*) FILTER (s.aside IS NOT NULL AND {FAILED} IS NOT NULL)"
        staged, end, dead = self._staged.row(f"SELECT count(*), coalesce(max(s.rowid) + 1, 0), {failed} FROM staged s")
        assert staged == self._staged.rows - self.left_out, "not as many records are staged as were read"
        assert end == staged or self.left_out, "rows of the stage do not follow one another"
        if self._staged.has_more_failed or self._staged.forgiven:
            dead = self._staged.number(f"SELECT count(*) FROM staged s WHERE NOT {self._staged.good()}")
        self.read, self.dead = staged + len(bad), dead + len(bad)

    def _insert_one(self, reader: Reader, left: Sequence[Reader], early: EarlyStop) -> int | None:
        """Read one part; returns after how many of its records reading stopped, if so."""
        enough, rows = None, 0
        with self._bad.may_be(reader.part):
            enough = early.inside(reader, left, self._count)
            rows = self._insert_all(reader, numbered=False)
        self._staged.note([(reader.part.number, reader.skipped, rows)])
        return enough

    def _insert_all(self, reader: Reader, *, numbered: bool = True) -> int:
        """Stage the records of a part; returns how many."""
        rows = 0

        def use(relation: str) -> int:
            nonlocal rows
            rows = self._insert(reader, relation)
            return rows

        reader.read(use, numbered=numbered)
        return rows

    def _insert_together(self, group: Sequence[Reader]) -> bool:
        """Read the parts of a group by one statement, if there are several and each has a record in each line."""
        import duckdb

        if len(group) < 2:
            return False
        self._staged.number_parts()
        self._duck.execute("BEGIN")
        try:
            together = Together(group)
            self._insert(together, together.relation, has_numbers=True)
            found, expected = self._staged.added(), together.expected
            if found == [(part, records) for part, records in expected if records]:
                self._duck.execute("COMMIT")
                self._staged.note(
                    [(part, one.skipped, records) for one, (part, records) in zip(group, expected, strict=True)]
                )
                return True
        except (FaultError, duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfMemoryException):
            pass  # One of the files is not as it should be, or all are too much: each by itself says which.
        self._duck.execute("ROLLBACK")
        return False

    def _sure(self, failed: str) -> str:
        # What breaks a rule with `mostly` may be forgiven in the end.
        return (
            f"(NOT list_contains({failed}, {_OUT_OF_SCOPE}) AND "
            f"len(list_filter({failed}, lambda x: x NOT IN ({self._judge.forgivable()}))) > 0)"
        )

    def _count(self, reader: Reader) -> tuple[int, int]:
        """How many records a reader has, and how many of them are surely dead. Nothing is staged."""
        found = (0, 0)

        def count(relation: str) -> int:
            nonlocal found
            some = f"count(*) FILTER (failed IS NOT NULL AND {self._sure('failed')})"
            rows, dead = self._staged.row(f"SELECT count(*), {some} FROM ({self._judged(relation, reader)})")
            found = int(rows), int(dead)
            return found[0]

        reader.read(count, numbered=False)
        return found

    def _insert(self, reader: Shape, relation: str, *, has_numbers: bool = False) -> int:
        """Stage the records of `relation`, which are as those of `reader`.

        :param has_numbers: whether the relation has the number of each record's part.
        """
        record = f"CASE WHEN failed IS NOT NULL THEN {self._record_sql(reader)} END"
        said = f"[{{'line': line, 'failed': failed, 'raw': {record}, 'why': why}}]"
        given = {place: place for place in self._staged.places.values()}
        given["aside"] = f"CASE WHEN failed IS NOT NULL OR line IS NOT NULL THEN {said} END"
        if self._delete_when:
            given["gone"] = self._condition(self._delete_when)
        if has_numbers:
            given["part"] = "part"
        text = (
            f"INSERT INTO staged ({', '.join(given)}) SELECT {', '.join(given.values())} "
            f"FROM ({self._judged(relation, reader)})"
        )
        row = execute(self._duck, text).fetchone()
        assert row is not None
        return int(row[0])

    def _judged(self, relation: str, reader: Shape) -> str:
        """SQL of the records of `relation` with their values, and in `failed` the numbers of the rules they break."""
        made, raw, kinds = self._made(relation, reader)
        tests = self._tests(reader, raw, kinds)
        if self._scope:
            known = [f"NOT coalesce({test}, false)" for test, number in tests if number in self._scope_numbers()]
            outside = " AND ".join(["why IS NULL", *known, f"NOT ({self._condition(self._scope)})"])
            tests.append((f"({outside})", self._outside))
        # Each test is a column: written out where it is used, all of them would be planned twice.
        tested = "".join(f", {fail} AS t{place}" for place, (fail, _) in enumerate(tests))
        some = " OR ".join(f"t{place}" for place in range(len(tests)))
        every = ", ".join(f"CASE WHEN t{place} THEN {number} END" for place, (_, number) in enumerate(tests))
        failed = f"CASE WHEN {some} THEN list_filter([{every}], lambda x: x IS NOT NULL) END"
        return f"SELECT *, {failed} AS failed FROM (SELECT *{tested} FROM ({made}))"

    def _made(self, relation: str, reader: Shape) -> tuple[str, dict[str, str], dict[str, str]]:
        """SQL of the records of `relation` with their values; by column, SQL of what each is made of, and its type."""
        kinds = {
            name: "VARCHAR" if reader.is_text else reader.types.get(name, "VARCHAR") for name in self._staged.columns
        }
        raw = {
            name: cast.present(f"r{reader.names.index(name)}" if name in reader.names else "NULL::VARCHAR", kinds[name])
            for name, cast in self._staged.casts.items()
        }
        for name, cast in self._staged.casts.items():
            raw[name], kinds[name] = cast.written(raw[name], kinds[name], reader.notation)
        made = {name: cast.value(raw[name], kinds[name]) for name, cast in self._staged.casts.items()}
        values = "".join(f", {made[name]} AS {place}" for name, place in self._staged.places.items())
        missing = "".join(f", {raw[name]} IS NULL AS m{place[1:]}" for name, place in self._staged.places.items())
        return f"SELECT *{values}{missing} FROM ({relation})", raw, kinds

    def _tests(self, reader: Shape, raw: Mapping[str, str], kinds: Mapping[str, str]) -> list[tuple[str, int]]:
        """What sets a record aside by itself: a condition in SQL, and the number of the rule."""
        tests = [("why IS NOT NULL", 0)]
        for number, (name, cast) in enumerate(self._staged.casts.items(), 1):
            refused = self._staged.dialect.refused(cast.type, self._staged.places[name], nul=reader.may_hold_nul)
            lost = cast.lost(raw[name], self._staged.places[name], kinds[name], refused=refused)
            if lost is not None:
                tests.append((f"(why IS NULL AND {lost})", number))
        gone = self._condition(self._delete_when)
        present = f" AND NOT ({gone})" if self._delete_when else ""
        for fails, number in self._judge.tests():
            # Of what is deleted, only the key is asked.
            always = set(self._judge.rules[number].columns) <= set(self._key)
            tests.append((f"(why IS NULL{'' if always else present} AND {fails})", number))
        return tests

    def _record_sql(self, reader: Shape) -> str:
        """SQL of a record's raw form; NULL is read once more."""
        return record_sql(reader, self._sensitive)

    def _condition(self, values: Values) -> str:
        return condition(values, self._staged.columns, self._staged.places.__getitem__)

    def _scope_numbers(self) -> set[int]:
        """The numbers of the casts of the scope's columns: a value that is none may be of the scope."""
        return {number for number, name in enumerate(self._staged.columns, 1) if name in self._scope}

    # --- afterwards ---------------------------------------------------------------------------------------------

    def dedupe(self) -> None:
        """Of several good records with one key the newest stays: by `newest_by`, then the later part and line."""
        if not self._key:
            return
        self._staged.is_distinct = True
        key = ", ".join(self._staged.identity(name) for name in self._key)
        newest = "".join(f"{value} DESC NULLS LAST, " for value in self._staged.newest())
        twice = f"SELECT {key} FROM staged s WHERE {self._staged.good()} GROUP BY ALL HAVING count(*) > 1"
        if not execute(self._duck, f"{twice} LIMIT 1").fetchall():
            return
        self._staged.give_way(
            "SELECT stage_row FROM (SELECT s.rowid AS stage_row, row_number() OVER "
            f"(PARTITION BY {key} ORDER BY {newest}s.rowid DESC) AS place FROM staged s "
            f"WHERE {self._staged.good()} AND ({key}) IN ({twice})) WHERE place > 1"
        )

    def prepared(self, unwritten: Collection[str] = ()) -> Prepared:
        """The records that stay.

        :param unwritten: columns that the target is not given.
        """
        self._unwritten = unwritten
        rows = self.read - self.dead - self.deduplicated
        self._prepared = prepared_of(self._staged, rows, unwritten, self._mean_bytes())
        return self._prepared

    def _mean_bytes(self) -> int:
        """How long a record is on average."""
        return self._staged.mean_bytes() if self._size is None else self._size // max(1, self.read)

    def leave_out(self, broken: Sequence[Broken], called: Mapping[str, str]) -> None:
        """Set aside those of the prepared records that the target itself refused.

        :param called: the target's names of columns that have another one here.
        """
        assert self._prepared is not None
        ours = {own: name for name, own in called.items()}
        numbers = [self._judge.constraint(one.rule, [ours.get(name, name) for name in one.columns]) for one in broken]
        self._staged.fail(
            "SELECT stage_row, rule FROM (SELECT unnest($1::BIGINT[]) AS position, "
            f"unnest($2::INTEGER[]) AS rule) JOIN {self._prepared.rows_at()} USING (position)",
            [[one.position for one in broken], numbers],
        )
        self.dead += len(broken)

    def hold_back(self, rows: Sequence[int], rule: Rule) -> Prepared:
        """Set aside the kept records in these rows of the stage, and those with their keys which they replaced; returns
        the records that stay then.
        """
        number, some = self._judge.more(rule), "SELECT unnest($1::BIGINT[])"
        key = ", ".join(self._staged.identity(name) for name in self._key)
        held = some
        if self._staged.deduplicated:
            held += (
                f" UNION SELECT s.rowid FROM staged s SEMI JOIN older o ON o.stage_row = s.rowid WHERE ({key}) IN "
                f"(SELECT ({key}) FROM staged s WHERE s.rowid IN ({some}))"
            )
        numbers = [row for (row,) in self._duck.execute(held, [list(rows)]).fetchall()]
        self._staged.fail("SELECT unnest($1::BIGINT[]), $2", [numbers, number])
        self._staged.take_back(numbers)
        self.dead += len(numbers)
        return self.prepared(self._unwritten)

    def has_read(self, uri: str) -> bool:
        """Whether the part was read, and not set aside as a whole."""
        return uri not in self._bad

    def closing(self) -> Closing:
        """Which dead letters the records that stay close."""
        return Closing(self._staged, [reader.part for reader in self._readers])

    def verdicts(self) -> list[TableVerdict]:
        """What the rules about the whole table say of the records that stay."""
        return self._judge.verdicts()

    def results(self, name: str, verdicts: Sequence[TableVerdict], meta: Mapping[str, Any]) -> dict[str, Any]:
        """What the checks saw, as Great Expectations has it. `verdicts` are those about the table."""
        return Results(self._staged, self._judge, self._sensitive).document(name, verdicts, meta)

    @property
    def warnings(self) -> Sequence[Warned]:
        """What rules that only warn say; those about the table after `verdicts`."""
        return self._judge.warnings

    def reasons(self) -> dict[str, int]:
        """How many records each rule set aside."""
        if self.dead == len(self._bad):
            return self._bad.reasons()
        return self._bad.reasons() | self._judge.reasons()

    def dead_letters(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """The records that were set aside, by part and line."""
        yield from islice(self._bad.letters(), limit)
        if self.dead == len(self._bad):
            return
        has_raws = self._complete_records()
        key, version = identity_sql(self._staged, self._sensitive), version_sql(self._staged, self._sensitive)
        failed, raw, order = FAILED, "s.aside[1].raw", ""
        if self._staged.has_more_failed:
            more = f"(SELECT list(rule ORDER BY rule) FROM {self._staged.more_failed} m WHERE m.stage_row = s.rowid)"
            failed, order = f"list_concat({failed}, {more})", " ORDER BY s.rowid"
        if has_raws:
            raw = f"coalesce({raw}, (SELECT record FROM raws r WHERE r.stage_row = s.rowid))"
            order = " ORDER BY s.rowid"
        cursor = self._duck.cursor()
        cursor.execute(
            f"SELECT s.rowid, s.aside[1].line, {failed}, {raw}, s.aside[1].why, {key}, {version} FROM staged s "
            f"WHERE NOT {self._staged.good()}{order} {'' if limit is None else f'LIMIT {limit}'}"
        )
        readers = {reader.part.number: reader for reader in self._readers}
        most = max(1, min(_FETCH, _FETCH_BYTES // max(1, self._mean_bytes())))
        while rows := cursor.fetchmany(most):
            for row, known, failed, raw, why, key_text, version_text in rows:
                part, line = self._staged.origin(row, known)
                reader = readers[part]
                first = reader.part.provenance(line)
                broken = [self._judge.rules[number] for number in sorted({*failed} - {*self._staged.forgiven})]
                try:
                    record = raw if why is not None else record_of(raw)
                except RecursionError:
                    record, why, broken = raw[:KEPT], "it is nested too deeply to be shown", [self._judge.rules[0]]
                yield DeadLetter(
                    first.source, first.version, first.line, record,
                    failures_of(broken, record, self._sensitive, self._staged.casts, why),
                    json.loads(key_text) if key_text else None,
                    version=version_text,
                    complete=is_complete(reader, raw, record, why, self._sensitive),
                    header=header_of(reader) if why is not None else None,
                    absent=absent_of(reader, record, why, self._staged.columns),
                    id=first.letter,
                )  # fmt: skip

    def _complete_records(self) -> bool:
        """Read once more the raw form of records that were only found bad when they were staged, into `raws`; returns
        whether there are such records.
        """
        lacking = f"FROM staged s WHERE s.aside[1].raw IS NULL AND NOT {self._staged.good()}"
        if (row := self._staged.row(f"SELECT min(s.rowid) {lacking}")[0]) is None:
            return False
        self._duck.execute("CREATE TABLE IF NOT EXISTS raws (stage_row BIGINT, record VARCHAR)")
        lacking += " AND s.rowid NOT IN (SELECT stage_row FROM raws)"
        while (row := self._staged.row(f"SELECT min(s.rowid) {lacking} AND s.rowid >= {row}")[0]) is not None:
            number, first, row, ahead = self._staged.part_at(row)
            reader = self._reader_of(number)
            some = (
                f"SELECT s.rowid AS stage_row, coalesce(s.aside[1].line, s.rowid + {ahead}) AS line {lacking} "
                f"AND s.rowid >= {first} AND s.rowid < {row}"
            )

            def use(relation: str, reader: Reader = reader, some: str = some, rows: int = row - first) -> int:
                record = record_sql(reader, self._sensitive)
                self._duck.execute(
                    "INSERT INTO raws SELECT stage_row, record "
                    f"FROM (SELECT line, {record} AS record FROM ({relation})) JOIN ({some}) USING (line)"
                )
                return rows

            reader.read(use)
        return True

    def _reader_of(self, number: int) -> Reader:
        """What reads a part once more."""
        return next(reader for reader in self._readers if reader.part.number == number)
