"""What is asked of a load's records: rules compiled into SQL, and those that Great Expectations carries out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sluicegate.checks.bounds import with_moments
from sluicegate.checks.compile import CompiledRule, compile_rule
from sluicegate.checks.expectations import ExpectationRunner, TableVerdict, frame_columns
from sluicegate.checks.rule import Rule
from sluicegate.faults import fault
from sluicegate.load.letters import TYPE
from sluicegate.load.staged import Staged
from sluicegate.records.reader import MALFORMED


class Judge:
    """The rules of one load. A failure is kept as the number of its rule: malformed, then the types, then the rules.

    :raises FaultError: CHECK_BROKEN when a rule cannot be carried out.
    """

    def __init__(self, staged: Staged, rules: Sequence[Rule]) -> None:
        self._staged = staged
        self._compiled: list[CompiledRule] = []
        self.expectations: list[Rule] = []
        """What Great Expectations carries out."""
        self._runner: ExpectationRunner | None = None
        checked = {name: staged.checked(name) for name in staged.columns}
        for rule in rules:
            compiled = compile_rule(rule, checked)
            if compiled is None or not self._understood(compiled):
                self.expectations.append(with_moments(rule, checked))
            else:
                self._compiled.append(compiled)
        self.rules = [
            Rule(MALFORMED, {}, MALFORMED),
            *(Rule(TYPE, {"column": name}, f"type:{name}") for name in staged.columns),
            *(compiled.rule for compiled in self._compiled),
            *self.expectations,
        ]

    def tests(self) -> list[tuple[str, int]]:
        """The rules that one record breaks by itself: a condition in SQL, and the rule's number."""
        return [(one.fails, self.rules.index(one.rule)) for one in self._compiled if not one.unique]

    def constraint(self, name: str, columns: Sequence[str]) -> int:
        """The number of a rule that the target itself applies; a new one if it has not been met before."""
        for number, rule in enumerate(self.rules):
            if rule.name == name:
                return number
        self.rules.append(Rule("constraint", {"column_list": list(columns)}, name))
        return len(self.rules) - 1

    def judge_together(self) -> None:
        """What looks at several records at once, when all are there."""
        for compiled in self._compiled:
            if compiled.unique:
                self._check_unique(compiled)
        self._forgive()
        self._check_expectations()

    def _check_unique(self, compiled: CompiledRule) -> None:
        """All copies of a value are bad, as Great Expectations has it."""
        values = ", ".join(compiled.unique)
        stated = self._staged.stated("s.rowid AS stage_row, s.failed")
        self._staged.duck.execute(
            f"INSERT INTO more_failed SELECT stage_row, {self.rules.index(compiled.rule)} FROM "
            f"(SELECT stage_row, count(*) OVER (PARTITION BY {values}) AS copies FROM ({stated}) "
            f"WHERE NOT {self._staged.is_malformed()} AND {compiled.fails}) WHERE copies > 1"
        )

    def _forgive(self) -> None:
        """Rules that hold by their `mostly` set nothing aside."""
        forgiven: list[int] = []
        for compiled in self._compiled:
            if compiled.mostly == 1:
                continue
            number = self.rules.index(compiled.rule)
            stated = self._staged.stated("s.failed")
            judged = self._staged.number(
                f"SELECT count(*) FROM ({stated}) WHERE NOT {self._staged.is_malformed()} AND {compiled.applies}"
            )
            if compiled.unique:
                bad = self._staged.number(f"SELECT count(*) FROM more_failed WHERE rule = {number}")
            else:
                bad = self._staged.number(f"SELECT count(*) FROM staged WHERE list_contains(failed, {number})")
            if judged == 0 or judged - bad >= compiled.mostly * judged:
                forgiven.append(number)
        if forgiven:
            some = ", ".join(map(str, forgiven))
            self._staged.duck.execute(f"DELETE FROM more_failed WHERE rule IN ({some})")
            self._staged.forgiven = tuple(forgiven)

    def _check_expectations(self) -> None:
        """The row-level rules of Great Expectations. Those about the table are judged by `verdicts`."""
        if not self.expectations:
            return
        self._runner = ExpectationRunner()
        for rule in [rule for rule in self.expectations if self._runner.is_row_level(rule)]:
            wanted = frame_columns(rule, list(self._staged.columns))
            frames = self._staged.frames(
                wanted, f"FROM staged s WHERE NOT {self._staged.is_malformed()} ORDER BY s.rowid"
            )
            bad = self._runner.rows(rule, frames).positions
            if not bad:
                continue
            self._staged.duck.execute("CREATE TEMP TABLE positions (position BIGINT)")
            self._staged.duck.execute("INSERT INTO positions SELECT unnest($1::BIGINT[])", [list(bad)])
            self._staged.duck.execute(
                f"INSERT INTO more_failed SELECT stage_row, {self.rules.index(rule)} FROM "
                "(SELECT s.rowid AS stage_row, row_number() OVER (ORDER BY s.rowid) - 1 AS position FROM staged s "
                f"WHERE NOT {self._staged.is_malformed()}) SEMI JOIN positions USING (position)"
            )
            self._staged.duck.execute("DROP TABLE positions")

    def verdicts(self) -> list[TableVerdict]:
        """What the rules about the whole table say of the records that stay."""
        found: list[TableVerdict] = []
        for rule in self.expectations:
            assert self._runner is not None
            if self._runner.is_row_level(rule):
                continue
            wanted = frame_columns(rule, list(self._staged.columns))
            frames = list(
                self._staged.frames(wanted, f"FROM staged s WHERE {self._staged.kept()} ORDER BY s.rowid")(None)
            )
            found.append(self._runner.table(rule, frames[0]))
        return found

    def reasons(self) -> dict[str, int]:
        """How many records each rule set aside."""
        rows = self._staged.duck.execute(
            "SELECT rule, count(*) FROM (SELECT unnest(failed) AS rule FROM staged "
            "UNION ALL SELECT rule FROM more_failed) GROUP BY rule ORDER BY rule"
        ).fetchall()
        counts: Counter[str] = Counter()
        for number, count in rows:
            if number in self._staged.forgiven:
                continue
            counts[self.rules[number].name] += count
        return dict(counts)

    def _understood(self, compiled: CompiledRule) -> bool:
        """Whether DuckDB knows the rule's regular expression.

        :raises FaultError: CHECK_BROKEN when a constant is not of its column's type.
        """
        import duckdb

        for text, type_ in compiled.constants:
            if self._staged.duck.execute(f"SELECT TRY_CAST(? AS {type_}) IS NULL", [text]).fetchone() != (False,):
                rule = compiled.rule
                detail = f"{rule.expectation}: {text!r} is not a {type_.lower()}, which {rule.columns[0]!r} is"
                raise fault("CHECK_BROKEN", detail, rule=rule.name)
        if compiled.pattern is None:
            return True
        try:
            self._staged.duck.execute("SELECT regexp_matches('', ?)", [compiled.pattern])
        except duckdb.InvalidInputException:
            return False
        return True
