"""What is asked of a load's records: rules compiled into SQL, and those that Great Expectations carries out.

A rule that only warns sets nothing aside and fails nothing: its records are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sluicegate.checks.bounds import CheckedColumn, with_moments
from sluicegate.checks.compile import compile_rule, compile_table_rule
from sluicegate.checks.compiler import CompiledRule, CompiledTableRule
from sluicegate.checks.expectations import ExpectationRunner, RowFailures, TableVerdict, frame_columns
from sluicegate.checks.rule import REFERENCES, Rule
from sluicegate.faults import fault
from sluicegate.load.letters import TYPE
from sluicegate.load.staged import FAILED, Staged
from sluicegate.records.reader import MALFORMED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Judge", "Warned"]


@dataclass(frozen=True)
class Warned:
    """A rule that only warns and does not hold: how many records are bad, or what was seen of the table."""

    rule: Rule
    records: int | None = None
    observed: str | None = None

    @property
    def seen(self) -> int | str:
        return self.records if self.records is not None else str(self.observed)


@dataclass
class Asked:
    """The rules of a load, by what carries them out."""

    rows: list[CompiledRule] = field(default_factory=list)
    warned: list[CompiledRule] = field(default_factory=list)
    """Those of a record that only warn."""
    table: list[CompiledTableRule] = field(default_factory=list)
    references: list[Rule] = field(default_factory=list)
    """Those whose values have to be in a table of DuckDB."""
    expectations: list[Rule] = field(default_factory=list)
    """What Great Expectations carries out."""


class Judge:
    """The rules of one load. A failure is kept as the number of its rule: malformed, then the types, then the rules.

    :param references: by column that refers to another dataset, the table of DuckDB with the values it may have
    :raises FaultError: CHECK_BROKEN when a rule cannot be carried out.
    """

    def __init__(self, staged: Staged, rules: Sequence[Rule], references: Mapping[str, str] | None = None) -> None:
        self._staged = staged
        self._references = references or {}
        self.asked = Asked()
        self.warnings: list[Warned] = []
        """Grows as the rules are judged."""
        self.runner: ExpectationRunner | None = None
        self.found: dict[str, RowFailures] = {}
        """What Great Expectations found of single records, by the rule's name."""
        checked = {name: staged.checked(name) for name in staged.columns}
        for rule in rules:
            self._sort_in(rule, checked)
        self.rules = [
            Rule(MALFORMED, {}, MALFORMED),
            *(Rule(TYPE, {"column": name}, f"type:{name}") for name in staged.columns),
            *(compiled.rule for compiled in self.asked.rows),
            *self.asked.references,
            *self.asked.expectations,
        ]

    def _sort_in(self, rule: Rule, checked: dict[str, CheckedColumn]) -> None:
        warns = rule.severity != "critical"
        if rule.expectation == REFERENCES:
            self.asked.references.append(rule)
        elif (compiled := compile_rule(rule, checked)) is not None:
            self._require_constants(rule, compiled.constants)
            if not self._understands(compiled.patterns):
                compiled = compile_rule(rule, checked, native=False)
                assert compiled is not None
            (self.asked.warned if warns else self.asked.rows).append(compiled)
        elif (table := compile_table_rule(rule, checked)) is not None:
            self._require_constants(rule, table.constants)
            self.asked.table.append(table)
        else:
            self.asked.expectations.append(with_moments(rule, checked))

    def tests(self) -> list[tuple[str, int]]:
        """The rules that one record breaks by itself: a condition in SQL, and the rule's number."""
        return [(one.fails, self.rules.index(one.rule)) for one in self.asked.rows if not one.unique]

    def constraint(self, name: str, columns: Sequence[str]) -> int:
        """The number of a rule that the target itself applies; a new one if it has not been met before."""
        for number, rule in enumerate(self.rules):
            if rule.name == name:
                return number
        self.rules.append(Rule("constraint", {"column_list": list(columns)}, name))
        return len(self.rules) - 1

    def forgivable(self) -> str:
        """The numbers of the rules that may set nothing aside in the end, as SQL of a list."""
        return ", ".join(str(self.rules.index(one.rule)) for one in self.asked.rows if one.mostly != 1) or "-1"

    def more(self, rule: Rule) -> int:
        """The number of a rule that somebody else applies."""
        self.rules.append(rule)
        return len(self.rules) - 1

    def judge_together(self) -> None:
        """What looks at several records at once, when all are there."""
        for compiled in self.asked.rows:
            if compiled.unique:
                self._check_unique(compiled)
        for rule in self.asked.references:
            self._check_reference(rule)
        self._forgive()
        self._warn()
        self._check_expectations()

    def _check_unique(self, compiled: CompiledRule) -> None:
        """All copies of a value are bad, as Great Expectations has it."""
        number = self.rules.index(compiled.rule)
        self._staged.fail(f"SELECT stage_row, {number} FROM ({self.copies(compiled)})")

    def _check_reference(self, rule: Rule) -> None:
        """A value that the dataset does not have is bad, a missing one is not."""
        (name,) = rule.columns
        value = self._staged.identity(name)
        self._staged.fail(
            f"SELECT stage_row, {self.rules.index(rule)} FROM "
            f"(SELECT s.rowid AS stage_row, {value} AS value FROM staged s "
            f"WHERE NOT {self._staged.is_malformed()} AND {self._staged.checked(name).value} IS NOT NULL) "
            f"ANTI JOIN {self._references[name]} USING (value)"
        )

    def copies(self, compiled: CompiledRule) -> str:
        """SQL of the records that break a rule of uniqueness: `stage_row`, and what rules refer to."""
        stated = self._staged.stated("s.rowid AS stage_row, s.aside")
        copies = f"count(*) OVER (PARTITION BY {', '.join(compiled.unique)}) AS copies"
        return (
            f"SELECT * FROM (SELECT *, {copies} FROM ({stated}) WHERE NOT {self._staged.is_malformed()} "
            f"AND {compiled.fails}) WHERE copies > 1"
        )

    def _forgive(self) -> None:
        """Rules that hold by their `mostly` set nothing aside."""
        forgiven: list[int] = []
        for compiled in self.asked.rows:
            if compiled.mostly == 1:
                continue
            number = self.rules.index(compiled.rule)
            stated = self._staged.stated("s.aside")
            judged = self._staged.number(
                f"SELECT count(*) FROM ({stated}) WHERE NOT {self._staged.is_malformed()} AND {compiled.applies}"
            )
            if compiled.unique:
                bad = self._staged.number(f"SELECT count(*) FROM {self._staged.more_failed} WHERE rule = {number}")
            else:
                bad = self._staged.number(f"SELECT count(*) FROM staged s WHERE list_contains({FAILED}, {number})")
            if compiled.holds(judged, bad):
                forgiven.append(number)
        if forgiven:
            self._staged.forgive(forgiven)

    def _warn(self) -> None:
        """Count the records that break a rule which only warns."""
        for compiled in self.asked.warned:
            judged, bad = self.counts(compiled)
            if not compiled.holds(judged, bad):
                self.warnings.append(Warned(compiled.rule, records=bad))

    def counts(self, compiled: CompiledRule) -> tuple[int, int]:
        """How many records count for a rule, and how many of them break it."""
        stated = self._staged.stated("s.aside")
        judged, bad = self._staged.row(
            f"SELECT count(*) FILTER ({compiled.applies}), count(*) FILTER ({compiled.fails}) FROM ({stated}) "
            f"WHERE NOT {self._staged.is_malformed()}"
        )
        if compiled.unique:
            bad = self._staged.number(f"SELECT count(*) FROM ({self.copies(compiled)})")
        return int(judged), int(bad)

    def _check_expectations(self) -> None:
        """The row-level rules of Great Expectations. Those about the table are judged by `verdicts`."""
        if not self.asked.expectations:
            return
        self.runner = ExpectationRunner()
        for rule in [rule for rule in self.asked.expectations if self.runner.is_row_level(rule)]:
            wanted = frame_columns(rule, list(self._staged.columns))
            frames = self._staged.frames(
                wanted, f"FROM staged s WHERE NOT {self._staged.is_malformed()} ORDER BY s.rowid"
            )
            found = self.found[rule.name] = self.runner.rows(rule, frames)
            if found.positions and rule.severity == "critical":
                self._set_aside(rule, found)
            elif found.positions:
                self.warnings.append(Warned(rule, records=len(found.positions)))

    def _set_aside(self, rule: Rule, found: RowFailures) -> None:
        self._staged.duck.execute("CREATE TEMP TABLE positions (position BIGINT)")
        self._staged.duck.execute("INSERT INTO positions SELECT unnest($1::BIGINT[])", [list(found.positions)])
        self._staged.fail(
            f"SELECT stage_row, {self.rules.index(rule)} FROM "
            "(SELECT s.rowid AS stage_row, row_number() OVER (ORDER BY s.rowid) - 1 AS position FROM staged s "
            f"WHERE NOT {self._staged.is_malformed()}) SEMI JOIN positions USING (position)"
        )
        self._staged.duck.execute("DROP TABLE positions")

    def verdicts(self) -> list[TableVerdict]:
        """What the rules about the whole table say of the records that stay."""
        found = [*self._compiled_verdicts(), *self._others_verdicts()]
        self.warnings += [
            Warned(verdict.rule, observed=verdict.observed)
            for verdict in found
            if not verdict.success and verdict.rule.severity != "critical"
        ]
        return found

    def _compiled_verdicts(self) -> list[TableVerdict]:
        if not self.asked.table:
            return []
        asked = ", ".join(f"{one.observed}, {one.holds}" for one in self.asked.table)
        row = self._staged.row(f"SELECT {asked} FROM ({self._staged.stated('s.aside')} WHERE {self._staged.kept()})")
        return [
            TableVerdict(one.rule, bool(row[2 * number + 1]), str(row[2 * number])[:500], row[2 * number])
            for number, one in enumerate(self.asked.table)
        ]

    def _others_verdicts(self) -> list[TableVerdict]:
        found: list[TableVerdict] = []
        for rule in self.asked.expectations:
            assert self.runner is not None
            if self.runner.is_row_level(rule):
                continue
            wanted = frame_columns(rule, list(self._staged.columns))
            frames = list(
                self._staged.frames(wanted, f"FROM staged s WHERE {self._staged.kept()} ORDER BY s.rowid")(None)
            )
            found.append(self.runner.table(rule, frames[0]))
        return found

    def reasons(self) -> dict[str, int]:
        """How many records each rule set aside."""
        rows = self._staged.duck.execute(
            f"SELECT rule, count(*) FROM (SELECT unnest({FAILED}) AS rule FROM staged s WHERE s.aside IS NOT NULL "
            f"UNION ALL SELECT rule FROM {self._staged.more_failed}) GROUP BY rule ORDER BY rule"
        ).fetchall()
        counts: Counter[str] = Counter()
        for number, count in rows:
            if number in self._staged.forgiven:
                continue
            counts[self.rules[number].name] += count
        return dict(counts)

    def _require_constants(self, rule: Rule, constants: Sequence[tuple[str, str]]) -> None:
        """Check that what a column is compared with can be of its type.

        :raises FaultError: CHECK_BROKEN when a constant is not of its column's type.
        """
        for text, type_ in constants:
            if not _is_of_type(self._staged.duck, text, type_):
                detail = f"{rule.said}: {text!r} is not a {type_.lower()}, which {rule.columns[0]!r} is"
                raise fault("CHECK_BROKEN", detail, rule=rule.name)

    def _understands(self, patterns: Sequence[str]) -> bool:
        """Whether DuckDB takes these regular expressions: some are too large for it."""
        return all(_is_understood(self._staged.duck, pattern) for pattern in patterns)


_known: dict[tuple[str, str | None], bool] = {}
"""What DuckDB said before of a constant and its type, or of a regular expression: asking costs a small load much."""


def _is_of_type(duck: DuckDBPyConnection, text: str, type_: str) -> bool:
    if (text, type_) not in _known:
        found = duck.execute(f"SELECT TRY_CAST(? AS {type_}) IS NOT NULL", [text]).fetchone()
        _known[text, type_] = found == (True,)
    return _known[text, type_]


def _is_understood(duck: DuckDBPyConnection, pattern: str) -> bool:
    import duckdb

    if (pattern, None) not in _known:
        try:
            duck.execute("SELECT regexp_matches('', ?)", [pattern])
            _known[pattern, None] = True
        except duckdb.InvalidInputException:
            _known[pattern, None] = False
    return _known[pattern, None]
