"""The stage: DuckDB casts, checks, dedupes and sorts the records of all parts, under a fixed memory limit.

What is bad is set aside with all of its reasons, never raised. Nothing here knows the target's database: the
outcome is a file in key order, in the format that the target takes, and an iterator of dead letters.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.checks.bounds import CheckedColumn, with_moments
from sluicegate.checks.compile import CompiledRule, compile_rule
from sluicegate.checks.expectations import ExpectationRunner, TableVerdict, frame_columns
from sluicegate.checks.rule import Rule
from sluicegate.checks.sql import literal
from sluicegate.faults import fault
from sluicegate.ledger.entries import DeadLetter
from sluicegate.ledger.ledger import OpenLetter
from sluicegate.load.letters import TYPE, failures_of, record_of, record_sql
from sluicegate.records.casts import Cast
from sluicegate.records.dialect import Dialect
from sluicegate.records.reader import MALFORMED, Reader
from sluicegate.targets.target import Broken, Staging

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection

__all__ = ["Stage"]

_FETCH = 5_000


class Stage:
    """The records of one load. Call `fill`, then `dedupe`, then the rest.

    :param casts: the columns to bring, in order, and how their values are made.
    :param rules: what is asked of the records; compiled here, or carried out by Great Expectations.
    :param dialect: what the target takes for equal, and what it cannot store.
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
    ) -> None:
        self._duck = duck
        self._casts = dict(casts)
        self.columns = {name: cast.type for name, cast in casts.items()}
        self._places = {name: f"v{number}" for number, name in enumerate(self.columns)}
        self._dialect = dialect
        self._key, self._newest_by, self._sensitive = tuple(key), newest_by, sensitive
        self._readers: list[Reader] = []
        self._compiled: list[CompiledRule] = []
        self._expectations: list[Rule] = []
        self._runner: ExpectationRunner | None = None
        checked = {name: self._checked(name) for name in self.columns}
        for rule in rules:
            compiled = compile_rule(rule, checked)
            if compiled is None or not self._understood(compiled):
                self._expectations.append(with_moments(rule, checked))
            else:
                self._compiled.append(compiled)
        # A failure is kept as the number of its rule: malformed, then the types, then the rules.
        self._types = [Rule(TYPE, {"column": name}, f"type:{name}") for name in self.columns]
        self._rules = [
            Rule(MALFORMED, {}, MALFORMED),
            *self._types,
            *(c.rule for c in self._compiled),
            *self._expectations,
        ]
        self._rows = [c for c in self._compiled if not c.unique]
        values = "".join(f", {self._places[name]} {type_.duck}" for name, type_ in self.columns.items())
        duck.execute(
            f"CREATE TABLE staged (part INTEGER, line BIGINT{values}, failed INTEGER[], raw VARCHAR, why VARCHAR)"
        )
        duck.execute("CREATE TABLE more_failed (part INTEGER, line BIGINT, rule INTEGER)")
        duck.execute("CREATE TABLE older (part INTEGER, line BIGINT)")
        self.read = self.dead = self.deduplicated = 0
        self._more = self._distinct = False

    # --- fill ---------------------------------------------------------------------------------------------------

    def fill(self, readers: Sequence[Reader]) -> None:
        """Read, cast and check all parts in one pass each; then whatever looks at several records at once."""
        self._readers = list(readers)
        for reader in readers:
            reader.read(lambda relation, reader=reader: self._insert(reader, relation))  # type: ignore[misc]
        for compiled in self._compiled:
            if compiled.unique:
                self._check_unique(compiled)
        self._forgive()
        self._check_expectations()
        self._more = self._number("SELECT count(*) FROM more_failed") > 0
        self.read = self._number("SELECT count(*) FROM staged")
        self.dead = self._number(f"SELECT count(*) FROM staged s WHERE NOT {self._good()}")

    def _insert(self, reader: Reader, relation: str) -> int:
        kinds = {name: "VARCHAR" if reader.is_text else reader.types.get(name, "VARCHAR") for name in self.columns}
        raw = {
            name: cast.present(f"r{reader.names.index(name)}" if name in reader.names else "NULL::VARCHAR", kinds[name])
            for name, cast in self._casts.items()
        }
        for name, cast in self._casts.items():
            raw[name], kinds[name] = cast.written(raw[name], kinds[name], reader.notation)
        made = {name: cast.value(raw[name], kinds[name]) for name, cast in self._casts.items()}
        values = "".join(f", {made[name]} AS {place}" for name, place in self._places.items())
        missing = "".join(f", {raw[name]} IS NULL AS m{place[1:]}" for name, place in self._places.items())
        tests = [("why IS NOT NULL", 0)]
        for number, (name, cast) in enumerate(self._casts.items(), 1):
            refused = self._dialect.refused(cast.type, self._places[name], nul=reader.may_hold_nul)
            lost = cast.lost(raw[name], self._places[name], kinds[name], refused=refused)
            if lost is not None:
                tests.append((f"(why IS NULL AND {lost})", number))
        tests += [(f"(why IS NULL AND {one.fails})", self._rules.index(one.rule)) for one in self._rows]
        some = " OR ".join(fail for fail, _ in tests)
        every = ", ".join(f"CASE WHEN {fail} THEN {number} END" for fail, number in tests)
        places = "".join(f", {place}" for place in self._places.values())
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

    def _check_unique(self, compiled: CompiledRule) -> None:
        """All copies of a value are bad, as Great Expectations has it."""
        values = ", ".join(compiled.unique)
        stated = self._stated(", ".join(["s.part", "s.line", "s.failed"]))
        self._duck.execute(
            f"INSERT INTO more_failed SELECT part, line, {self._rules.index(compiled.rule)} FROM "
            f"(SELECT part, line, count(*) OVER (PARTITION BY {values}) AS copies FROM ({stated}) "
            f"WHERE NOT {self._is_malformed()} AND {compiled.fails}) WHERE copies > 1"
        )

    def _forgive(self) -> None:
        """Rules that hold by their `mostly` set nothing aside."""
        forgiven: list[int] = []
        for compiled in self._compiled:
            if compiled.mostly == 1:
                continue
            number = self._rules.index(compiled.rule)
            stated = self._stated("s.failed")
            judged = self._number(
                f"SELECT count(*) FROM ({stated}) WHERE NOT {self._is_malformed()} AND {compiled.applies}"
            )
            if compiled.unique:
                bad = self._number(f"SELECT count(*) FROM more_failed WHERE rule = {number}")
            else:
                bad = self._number(f"SELECT count(*) FROM staged WHERE list_contains(failed, {number})")
            if judged == 0 or judged - bad >= compiled.mostly * judged:
                forgiven.append(number)
        if forgiven:
            some = ", ".join(map(str, forgiven))
            self._duck.execute(f"DELETE FROM more_failed WHERE rule IN ({some})")
            self._duck.execute(
                f"UPDATE staged SET failed = nullif(list_filter(failed, lambda x: x NOT IN ({some})), []::INTEGER[]) "
                f"WHERE list_has_any(failed, [{some}])"
            )

    def _check_expectations(self) -> None:
        """The row-level rules of Great Expectations. Those about the table are judged by `verdicts`."""
        if not self._expectations:
            return
        self._runner = ExpectationRunner()
        for rule in [rule for rule in self._expectations if self._runner.is_row_level(rule)]:
            wanted = frame_columns(rule, list(self.columns))
            frames = self._frames(wanted, f"FROM staged s WHERE NOT {self._is_malformed()} ORDER BY part, line")
            bad = self._runner.rows(rule, frames).positions
            if not bad:
                continue
            self._duck.execute("CREATE TEMP TABLE positions (position BIGINT)")
            self._duck.execute("INSERT INTO positions SELECT unnest($1::BIGINT[])", [list(bad)])
            self._duck.execute(
                f"INSERT INTO more_failed SELECT part, line, {self._rules.index(rule)} FROM (SELECT part, line, "
                "row_number() OVER (ORDER BY part, line) - 1 AS position FROM staged s "
                f"WHERE NOT {self._is_malformed()}) SEMI JOIN positions USING (position)"
            )
            self._duck.execute("DROP TABLE positions")

    # --- afterwards ---------------------------------------------------------------------------------------------

    def dedupe(self) -> None:
        """Of several good records with one key the newest stays: by `newest_by`, then the later part and line."""
        if not self._key:
            return
        self._distinct = True
        key = ", ".join(self._identity(name) for name in self._key)
        newest = "".join(f"{value} DESC NULLS LAST, " for value in self._newest())
        twice = f"SELECT {key} FROM staged s WHERE {self._good()} GROUP BY ALL HAVING count(*) > 1"
        if not self._number(f"SELECT count(*) FROM (SELECT 1 FROM ({twice}) LIMIT 1)"):
            return
        self._duck.execute(
            "INSERT INTO older SELECT part, line FROM (SELECT part, line, row_number() OVER "
            f"(PARTITION BY {key} ORDER BY {newest}part DESC, line DESC) AS place FROM staged s "
            f"WHERE {self._good()} AND ({key}) IN ({twice})) WHERE place > 1"
        )
        self.deduplicated = self._number("SELECT count(*) FROM older")

    def write(self, path: Path, staging: Staging) -> int:
        """Write the records that stay as the target takes them, in key order; returns how many."""
        values = ", ".join(self._places.values())
        self._duck.execute(
            f"COPY (SELECT {values} FROM staged s WHERE {self._kept()} ORDER BY {self._order()}) "
            f"TO {literal(str(path))} ({_writing(staging, len(self.columns))})"
        )
        return self.read - self.dead - self.deduplicated

    def leave_out(self, broken: Sequence[Broken], called: Mapping[str, str]) -> None:
        """Set aside those of the written records that the target itself refused.

        :param called: the target's names of columns that have another one here.
        """
        ours = {own: name for name, own in called.items()}
        numbers = {rule.name: number for number, rule in enumerate(self._rules)}
        for one in broken:
            if one.rule not in numbers:
                numbers[one.rule] = len(self._rules)
                self._rules.append(
                    Rule("constraint", {"column_list": [ours.get(name, name) for name in one.columns]}, one.rule)
                )
        self._duck.execute("CREATE TEMP TABLE refused (position BIGINT, rule INTEGER)")
        self._duck.execute(
            "INSERT INTO refused SELECT unnest($1::BIGINT[]), unnest($2::INTEGER[])",
            [[one.position for one in broken], [numbers[one.rule] for one in broken]],
        )
        self._duck.execute(
            "INSERT INTO more_failed SELECT part, line, rule FROM (SELECT part, line, "
            f"row_number() OVER (ORDER BY {self._order()}) - 1 AS position FROM staged s WHERE {self._kept()}) "
            "JOIN refused USING (position)"
        )
        self._duck.execute("DROP TABLE refused")
        self._more = True
        self.dead += len(broken)

    def _order(self) -> str:
        """How the written records are ordered; no two of them are equal in it."""
        places = [self._places[name] for name in self._key]
        return ", ".join(places if self._distinct else [*places, "part", "line"])

    def verdicts(self) -> list[TableVerdict]:
        """What the rules about the whole table say of the records that stay."""
        found: list[TableVerdict] = []
        for rule in self._expectations:
            assert self._runner is not None
            if self._runner.is_row_level(rule):
                continue
            wanted = frame_columns(rule, list(self.columns))
            frames = list(self._frames(wanted, f"FROM staged s WHERE {self._kept()} ORDER BY part, line")(None))
            found.append(self._runner.table(rule, frames[0]))
        return found

    def reasons(self) -> dict[str, int]:
        """How many records each rule set aside."""
        rows = self._duck.execute(
            "SELECT rule, count(*) FROM (SELECT unnest(failed) AS rule FROM staged "
            "UNION ALL SELECT rule FROM more_failed) GROUP BY rule ORDER BY rule"
        ).fetchall()
        counts: Counter[str] = Counter()
        for number, count in rows:
            counts[self._rules[number].name] += count
        return dict(counts)

    def dead_letters(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """The records that were set aside, by part and line."""
        if not self.dead:
            return
        self._complete_records()
        key = "NULL"
        if self._key and not self._sensitive.intersection(self._key):
            values = ", ".join(f"{literal(name)}, CAST({self._identity(name)} AS VARCHAR)" for name in self._key)
            known = " AND ".join(f"{self._places[name]} IS NOT NULL" for name in self._key)
            key = f"CASE WHEN {known} THEN CAST(json_object({values}) AS VARCHAR) END"
        more = "(SELECT list(rule ORDER BY rule) FROM more_failed m WHERE m.part = s.part AND m.line = s.line)"
        cursor = self._duck.cursor()
        cursor.execute(
            f"SELECT part, line, list_concat(failed, {more}), raw, why, {key} FROM staged s WHERE NOT {self._good()} "
            f"ORDER BY part, line {'' if limit is None else f'LIMIT {limit}'}"
        )
        parts = {reader.part.number: reader.part for reader in self._readers}
        while rows := cursor.fetchmany(_FETCH):
            for part, line, failed, raw, why, key_text in rows:
                first = parts[part].provenance(line)
                broken = [self._rules[number] for number in sorted(set(failed))]
                record = raw if why is not None else record_of(raw)
                yield DeadLetter(
                    first.source, first.version, first.line, record,
                    failures_of(broken, record, self._sensitive, self._casts, why),
                    json.loads(key_text) if key_text else None,
                )  # fmt: skip

    def keys_that_came_in(self, letters: Sequence[OpenLetter]) -> list[str]:
        """The ids of those `letters` whose key is among the records that stay."""
        asked = [
            (letter.id, *(letter.key.get(name) for name in self._key))
            for letter in letters
            if set(letter.key) == set(self._key)
        ]
        if not asked or not self._key:
            return []
        names = [f"k{number}" for number in range(len(self._key))]
        self._duck.execute(f"CREATE TEMP TABLE asked (id VARCHAR{''.join(f', {name} VARCHAR' for name in names)})")
        columns = list(zip(*asked, strict=True))
        unnested = ", ".join(f"unnest(${number + 1}::VARCHAR[])" for number in range(len(columns)))
        self._duck.execute(f"INSERT INTO asked SELECT {unnested}", [list(column) for column in columns])
        same = " AND ".join(
            f"a.{place} = CAST({self._identity(name)} AS VARCHAR)" for place, name in zip(names, self._key, strict=True)
        )
        rows = self._duck.execute(
            f"SELECT a.id FROM asked a WHERE EXISTS (SELECT 1 FROM staged s WHERE {self._kept()} AND {same})"
        ).fetchall()
        self._duck.execute("DROP TABLE asked")
        return [str(row[0]) for row in rows]

    # --- pieces of SQL ------------------------------------------------------------------------------------------

    def _checked(self, name: str) -> CheckedColumn:
        """A column as rules see it. Great Expectations takes NaN for missing, and so does this."""
        type_, place = self.columns[name], self._places[name]
        value, missing = type_.comparable(place), f"m{place[1:]}"
        if type_.name in {"real", "double"}:
            value = f"CASE WHEN isnan({place}) THEN NULL ELSE {place} END"
            missing = f"({missing} OR coalesce(isnan({place}), false))"
        return CheckedColumn(value, missing, type_.duck, type_.kind, self._casts[name].zone)

    def _understood(self, compiled: CompiledRule) -> bool:
        """Whether DuckDB knows the rule's regular expression.

        :raises FaultError: CHECK_BROKEN when a constant is not of its column's type.
        """
        import duckdb

        for text, type_ in compiled.constants:
            if self._duck.execute(f"SELECT TRY_CAST(? AS {type_}) IS NULL", [text]).fetchone() != (False,):
                rule = compiled.rule
                detail = f"{rule.expectation}: {text!r} is not a {type_.lower()}, which {rule.columns[0]!r} is"
                raise fault("CHECK_BROKEN", detail, rule=rule.name)
        if compiled.pattern is None:
            return True
        try:
            self._duck.execute("SELECT regexp_matches('', ?)", [compiled.pattern])
        except duckdb.InvalidInputException:
            return False
        return True

    def _stated(self, columns: str) -> str:
        """The stage with `columns` and what rules refer to. A failed cast is not a missing value."""
        values = "".join(f", s.{place}" for place in self._places.values())
        numbers = {name: number for number, name in enumerate(self.columns, 1)}
        missing = "".join(
            f", s.{place} IS NULL AND NOT coalesce(list_contains(s.failed, {numbers[name]}), false) AS m{place[1:]}"
            for name, place in self._places.items()
        )
        return f"SELECT {columns}{values}{missing} FROM staged s"

    @staticmethod
    def _is_malformed() -> str:
        return "coalesce(list_contains(failed, 0), false)"

    def _good(self) -> str:
        more = " AND NOT EXISTS (SELECT 1 FROM more_failed m WHERE m.part = s.part AND m.line = s.line)"
        return f"(s.failed IS NULL{more if self._more else ''})"

    def _kept(self) -> str:
        older = "NOT EXISTS (SELECT 1 FROM older o WHERE o.part = s.part AND o.line = s.line)"
        return f"{self._good()} AND {older}" if self.deduplicated else self._good()

    def _identity(self, name: str) -> str:
        return self._dialect.identity(self.columns[name], self._places[name])

    def _newest(self) -> list[str]:
        """By what a record is newer than another. What a double does not distinguish, its digits do."""
        if self._newest_by is None:
            return []
        type_, place = self.columns[self._newest_by], self._places[self._newest_by]
        value = type_.comparable(place)
        return [value] if value == place else [value, f"TRY_CAST({place} AS DECIMAL(38,9))"]

    def _complete_records(self) -> None:
        """The raw form of records that only a rule over several records set aside, read once more."""
        lacking = "SELECT part, line FROM staged s WHERE raw IS NULL AND NOT " + self._good()
        if not self._number(f"SELECT count(*) FROM ({lacking})"):
            return
        for reader in self._readers:
            number = reader.part.number

            def use(relation: str, reader: Reader = reader, number: int = number) -> int:
                self._duck.execute(
                    "UPDATE staged SET raw = found.record "
                    f"FROM (SELECT line, {record_sql(reader, self._sensitive)} AS record "
                    f"FROM ({relation}) WHERE line IN (SELECT line FROM ({lacking}) WHERE part = {number})) AS found "
                    f"WHERE staged.part = {number} AND staged.line = found.line"
                )
                return self._number(f"SELECT count(*) FROM staged WHERE part = {number}")

            reader.read(use)

    def _frames(self, names: Sequence[str], rest: str) -> Any:
        """A function that gives the records as frames of at most so many rows, at least one."""
        values = {name: self.columns[name].comparable(self._places[name]) for name in names}
        places = ", ".join(f"{values[name]} AS c{number}" for number, name in enumerate(names))

        def frames(size: int | None) -> Iterator[pd.DataFrame]:
            cursor = self._duck.cursor()
            cursor.execute(f"SELECT {places} {rest}")
            first = True
            while first or size is not None:
                frame = cursor.df() if size is None else cursor.fetch_df_chunk(max(1, size // 2048))
                if frame.empty and not first:
                    return
                frame.columns = list(names)
                yield frame
                first = False

        return frames

    def _number(self, query: str) -> int:
        row = self._duck.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def _writing(staging: Staging, columns: int) -> str:
    """The options of DuckDB's COPY for the format of a target's staging file."""
    if staging != "csv":
        raise fault("WRONG_USE", f"prepared records cannot be written as {staging}")
    quote = ", FORCE_QUOTE *" if columns == 1 else ""  # else a NULL alone would be a blank line
    return f"FORMAT csv, HEADER false, NULLSTR ''{quote}"
