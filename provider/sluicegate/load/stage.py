"""The stage: DuckDB casts, checks, dedupes and sorts the records of all parts, under a fixed memory limit.

What is bad is set aside with all of its reasons, never raised. Nothing here knows the target's database: the
outcome is a stream of records in key order, and an iterator of dead letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import Rule
from sluicegate.ledger.entries import DeadLetter
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.closing import Closing
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
from sluicegate.load.prepared import Prepared
from sluicegate.load.staged import Staged
from sluicegate.records.casts import Cast
from sluicegate.records.dialect import Dialect
from sluicegate.records.reader import Reader
from sluicegate.targets.target import Broken

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Stage"]

_FETCH = 5_000


class Stage:
    """The records of one load. Call `fill`, then `dedupe`, then the rest.

    :param casts: the columns to bring, in order, and how their values are made.
    :param rules: what is asked of the records; compiled here, or carried out by Great Expectations.
    :param dialect: what the target takes for equal, and what it cannot store.
    :param references: by column that refers to another dataset, the table of DuckDB with the values it may have.
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
        references: Mapping[str, str] | None = None,
    ) -> None:
        self._duck = duck
        self._staged = Staged(duck, casts, dialect, key=key, newest_by=newest_by)
        self._judge = Judge(self._staged, rules, references)
        self._key, self._sensitive = tuple(key), sensitive
        self._readers: list[Reader] = []
        self._prepared: Prepared | None = None
        self._bad = BadFiles(allowed=False)
        self.read = self.dead = 0

    @property
    def deduplicated(self) -> int:
        return self._staged.deduplicated

    # --- fill ---------------------------------------------------------------------------------------------------

    def fill(self, readers: Sequence[Reader], bad: BadFiles | None = None) -> None:
        """Read, cast and check all parts in one pass each; then whatever looks at several records at once."""
        self._readers = list(readers)
        self._bad = bad = BadFiles(allowed=False) if bad is None else bad
        for reader in readers:
            self._staged.begin_part(reader.part.number, reader.skipped)
            with bad.may_be(reader.part):
                reader.read(lambda relation, reader=reader: self._insert(reader, relation), numbered=False)  # type: ignore[misc]
            self._staged.end_part()
        self._judge.judge_together()
        self._staged.has_more_failed = self._staged.number("SELECT count(*) FROM more_failed") > 0
        staged = self._staged.number("SELECT count(*) FROM staged")
        assert staged == self._staged.rows, "rows of the stage do not follow one another"
        self.read = staged + len(bad)
        self.dead = self._staged.number(f"SELECT count(*) FROM staged s WHERE NOT {self._staged.good()}") + len(bad)

    def _insert(self, reader: Reader, relation: str) -> int:
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
        tests = [("why IS NOT NULL", 0)]
        for number, (name, cast) in enumerate(self._staged.casts.items(), 1):
            refused = self._staged.dialect.refused(cast.type, self._staged.places[name], nul=reader.may_hold_nul)
            lost = cast.lost(raw[name], self._staged.places[name], kinds[name], refused=refused)
            if lost is not None:
                tests.append((f"(why IS NULL AND {lost})", number))
        tests += [(f"(why IS NULL AND {fails})", number) for fails, number in self._judge.tests()]
        some = " OR ".join(fail for fail, _ in tests)
        every = ", ".join(f"CASE WHEN {fail} THEN {number} END" for fail, number in tests)
        places = "".join(f", {place}" for place in self._staged.places.values())
        inner = f"SELECT *{values}{missing} FROM ({relation})"
        failed = f"CASE WHEN {some} THEN list_filter([{every}], lambda x: x IS NOT NULL) END"
        record = f"CASE WHEN failed IS NOT NULL THEN {record_sql(reader, self._sensitive)} END"
        cursor = self._duck.execute(
            f"INSERT INTO staged SELECT {reader.part.number}, line{places}, failed, {record} AS raw, why "
            f"FROM (SELECT *, {failed} AS failed FROM ({inner}))"
        )
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])

    # --- afterwards ---------------------------------------------------------------------------------------------

    def dedupe(self) -> None:
        """Of several good records with one key the newest stays: by `newest_by`, then the later part and line."""
        if not self._key:
            return
        self._staged.is_distinct = True
        key = ", ".join(self._staged.identity(name) for name in self._key)
        newest = "".join(f"{value} DESC NULLS LAST, " for value in self._staged.newest())
        twice = f"SELECT {key} FROM staged s WHERE {self._staged.good()} GROUP BY ALL HAVING count(*) > 1"
        if not self._staged.number(f"SELECT count(*) FROM (SELECT 1 FROM ({twice}) LIMIT 1)"):
            return
        self._duck.execute(
            "INSERT INTO older SELECT stage_row FROM (SELECT s.rowid AS stage_row, row_number() OVER "
            f"(PARTITION BY {key} ORDER BY {newest}s.rowid DESC) AS place FROM staged s "
            f"WHERE {self._staged.good()} AND ({key}) IN ({twice})) WHERE place > 1"
        )
        self._staged.deduplicated = self._staged.number("SELECT count(*) FROM older")

    def prepared(self) -> Prepared:
        """The records that stay."""
        self._prepared = Prepared(self._staged, self.read - self.dead - self.deduplicated)
        return self._prepared

    def leave_out(self, broken: Sequence[Broken], called: Mapping[str, str]) -> None:
        """Set aside those of the prepared records that the target itself refused.

        :param called: the target's names of columns that have another one here.
        """
        assert self._prepared is not None
        ours = {own: name for name, own in called.items()}
        numbers = [self._judge.constraint(one.rule, [ours.get(name, name) for name in one.columns]) for one in broken]
        self._duck.execute(
            "INSERT INTO more_failed SELECT stage_row, rule FROM (SELECT unnest($1::BIGINT[]) AS position, "
            f"unnest($2::INTEGER[]) AS rule) JOIN {self._prepared.rows_at()} USING (position)",
            [[one.position for one in broken], numbers],
        )
        self._staged.has_more_failed = True
        self.dead += len(broken)

    def hold_back(self, rows: Sequence[int], rule: Rule) -> None:
        """Set aside the kept records in these rows of the stage, and those with their keys which they replaced."""
        number, some = self._judge.more(rule), "SELECT unnest($1::BIGINT[])"
        key = ", ".join(self._staged.identity(name) for name in self._key)
        replaced = (
            f"SELECT s.rowid FROM staged s SEMI JOIN older o ON o.stage_row = s.rowid WHERE ({key}) IN "
            f"(SELECT ({key}) FROM staged s WHERE s.rowid IN ({some}))"
        )
        held = self._duck.execute(f"{some} UNION {replaced}", [list(rows)]).fetchall()
        numbers = [row for (row,) in held]
        self._duck.execute("INSERT INTO more_failed SELECT unnest($1::BIGINT[]), $2", [numbers, number])
        self._duck.execute("DELETE FROM older WHERE stage_row IN (SELECT unnest($1::BIGINT[]))", [numbers])
        self._staged.has_more_failed = True
        self._staged.deduplicated = self._staged.number("SELECT count(*) FROM older")
        self.dead += len(numbers)

    def closing(self) -> Closing:
        """Which dead letters the records that stay close."""
        return Closing(self._staged, [reader.part for reader in self._readers])

    def verdicts(self) -> list[TableVerdict]:
        """What the rules about the whole table say of the records that stay."""
        return self._judge.verdicts()

    @property
    def warnings(self) -> Sequence[Warned]:
        """What rules that only warn say; those about the table after `verdicts`."""
        return self._judge.warnings

    def reasons(self) -> dict[str, int]:
        """How many records each rule set aside."""
        return self._bad.reasons() | self._judge.reasons()

    def dead_letters(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """The records that were set aside, by part and line."""
        yield from islice(self._bad.letters(), limit)
        if self.dead == len(self._bad):
            return
        self._complete_records()
        key, version = identity_sql(self._staged, self._sensitive), version_sql(self._staged, self._sensitive)
        more = "(SELECT list(rule ORDER BY rule) FROM more_failed m WHERE m.stage_row = s.rowid)"
        raw = "coalesce(raw, (SELECT record FROM raws r WHERE r.stage_row = s.rowid))"
        cursor = self._duck.cursor()
        cursor.execute(
            f"SELECT part, {self._staged.line()} AS line, list_concat(failed, {more}), {raw}, why, {key}, {version} "
            f"FROM staged s WHERE NOT {self._staged.good()} ORDER BY 1, 2 {'' if limit is None else f'LIMIT {limit}'}"
        )
        readers = {reader.part.number: reader for reader in self._readers}
        while rows := cursor.fetchmany(_FETCH):
            for part, line, failed, raw, why, key_text, version_text in rows:
                reader = readers[part]
                first = reader.part.provenance(line)
                broken = [self._judge.rules[number] for number in sorted({*failed} - {*self._staged.forgiven})]
                record = raw if why is not None else record_of(raw)
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

    def _complete_records(self) -> None:
        """Read once more the raw form of records that only a rule over several records set aside."""
        self._duck.execute("CREATE TABLE IF NOT EXISTS raws (stage_row BIGINT, record VARCHAR)")
        lacking = (
            f"SELECT s.rowid AS stage_row, s.part, {self._staged.line()} AS line FROM staged s "
            f"WHERE raw IS NULL AND NOT {self._staged.good()} AND s.rowid NOT IN (SELECT stage_row FROM raws)"
        )
        for (number,) in self._duck.execute(f"SELECT DISTINCT part FROM ({lacking})").fetchall():
            reader = next(reader for reader in self._readers if reader.part.number == number)

            def use(relation: str, reader: Reader = reader, number: int = number) -> int:
                record = record_sql(reader, self._sensitive)
                self._duck.execute(
                    "INSERT INTO raws SELECT stage_row, record "
                    f"FROM (SELECT line, {record} AS record FROM ({relation})) "
                    f"JOIN ({lacking} AND s.part = {number}) USING (line)"
                )
                return self._staged.number(f"SELECT count(*) FROM staged WHERE part = {number}")

            reader.read(use)
