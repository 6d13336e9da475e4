"""The stage of records that were checked: rules are not asked again, but for those of the target itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.checks.compiler import CompiledRule
from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import Rule
from sluicegate.checks.sql import literal
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.checked.readers import FAILURES, CheckedPart
from sluicegate.load.checked.report import Report, outdated
from sluicegate.load.checked.stored import PASSED, SAME_KEY, StoredClosing, StoredRecords
from sluicegate.load.closing import Closing
from sluicegate.load.judge import Judge, Warned
from sluicegate.load.prepared import Prepared
from sluicegate.load.results import Results
from sluicegate.load.stage import Stage
from sluicegate.load.staged import FAILED, Staged
from sluicegate.records.reader import LocalPart, Reader, Shape
from sluicegate.targets.target import Stored

__all__ = ["CheckedStage", "Passed"]

_SHOWN = 500
"""Characters of what was seen of a table."""


@dataclass(frozen=True)
class Passed:
    """What passed and stays where it is. `parts` are those of the folder; `read` opens what the job left of them."""

    stored: Stored
    parts: Sequence[LocalPart]
    read: Callable[[str], Sequence[Reader]]


class CheckedStage(Stage):
    """:param report: what the job saw.
    :param hopeless: whether the load fails whatever is in `passed`, which is then not read.
    :param original: opens a part itself: what it says of a record that the job let pass, and the target does not.
    :param passed: what passed, when the target takes it as it is; then it is not read unless it has to be.
    """

    def __init__(
        self,
        *given: Any,
        report: Report,
        hopeless: bool,
        original: Callable[[LocalPart], Reader],
        passed: Passed | None = None,
        **words: Any,
    ) -> None:
        self._report, self._fails_anyway, self._original = report, hopeless, original
        self._passed = passed
        self._brought: set[str] = set()
        super().__init__(*given, **words)

    def _judge_of(self, rules: Sequence[Rule], references: Mapping[str, str] | None) -> Judge:
        self._reported = ReportedJudge(self._staged, rules, self._report)
        return self._reported

    def fill(
        self,
        readers: Sequence[Reader],
        bad: BadFiles | None = None,
        allowed: Callable[[int | None], int | None] = lambda most: None,
    ) -> None:
        is_left = self._fails_anyway or self._passed is not None
        if is_left:
            readers = [reader for reader in readers if isinstance(reader, CheckedPart) and reader.is_rejected]
        super().fill(readers, bad)
        if is_left:
            self.read = self._report.read
        elif self.read != self._report.read:
            raise outdated(f"the job read {self._report.read:,} records, and it has left {self.read:,}")
        self.left_out = self._report.left_out
        self._reported.is_sole = self.dead == self._report.rows["rejected"]

    @property
    def deduplicated(self) -> int:
        return super().deduplicated if self._passed is None else self._report.rows["replaced"]

    def dedupe(self) -> None:
        if self._passed is None:
            super().dedupe()

    def prepared(self, unwritten: Collection[str] = ()) -> Prepared:
        if self._passed is None:
            return super().prepared(unwritten)
        self._prepared = StoredRecords(
            self._staged, self._report.rows[PASSED], unwritten, self._passed.stored, self._bring
        )
        return self._prepared

    def closing(self) -> Closing:
        if self._passed is None:
            return super().closing()
        return StoredClosing(self._staged, self._passed.parts, self._bring)

    def _bring(self, name: str) -> None:
        """Stage what is in one of the job's folders."""
        if self._passed is None or self._brought & {PASSED, name}:
            return
        self._brought.add(name)
        found = self._passed.read(name)
        self._readers = [*self._readers, *found]
        for reader in found:
            self._staged.note([(reader.part.number, 0, self._insert_all(reader))])
        if name == PASSED:
            self._staged.is_distinct = bool(self._key) and SAME_KEY not in self._brought

    def _tests(self, reader: Shape, raw: Mapping[str, str], kinds: Mapping[str, str]) -> list[tuple[str, int]]:
        """Besides what the load itself asks, whatever the job says of a rejected record."""
        tests = super()._tests(reader, raw, kinds)
        if not isinstance(reader, CheckedPart) or not reader.is_rejected:
            return tests
        said = {
            number: f"list_contains(from_json({FAILURES}, '[\"VARCHAR\"]'), {literal(rule.name)})"
            for number, rule in enumerate(self._judge.rules)
            if number
        }
        ours = {number: f"({condition} OR {said.pop(number)})" for condition, number in tests if number in said}
        return [
            *((ours.get(number, condition), number) for condition, number in tests),
            *((c, n) for n, c in said.items()),
        ]

    def _record_sql(self, reader: Shape) -> str:
        return "NULL" if isinstance(reader, CheckedPart) and not reader.is_rejected else super()._record_sql(reader)

    def _reader_of(self, number: int) -> Reader:
        return self._original(super()._reader_of(number).part)

    def results(self, name: str, verdicts: Sequence[TableVerdict], meta: Mapping[str, Any]) -> dict[str, Any]:
        results = ReportedResults(self._staged, self._reported, self._sensitive, self._report)
        return results.document(name, verdicts, meta)


class ReportedJudge(Judge):
    """What the job on the cluster saw in place of what is seen here."""

    def __init__(self, staged: Staged, rules: Sequence[Rule], report: Report) -> None:
        super().__init__(staged, rules)
        self._report = report
        self.is_sole = True
        """Whether nothing is set aside but what the job has rejected."""

    def tests(self) -> list[tuple[str, int]]:
        """The rules that the job did not know: those of the target, and of the window that is replaced."""
        return [(test, number) for test, number in super().tests() if self.rules[number].name not in self._report.rules]

    def judge_together(self) -> None:
        for compiled in self.asked.warned:
            judged, bad = self.counts(compiled)
            if not compiled.holds(judged, bad):
                self.warnings.append(Warned(compiled.rule, records=bad))

    def counts(self, compiled: CompiledRule) -> tuple[int, int]:
        seen = self._report.rules.get(compiled.rule.name)
        return super().counts(compiled) if seen is None else (seen.judged, seen.bad)

    def _compiled_verdicts(self) -> list[TableVerdict]:
        if not self.is_sole:  # The job saw records in the table that are not.
            return super()._compiled_verdicts()
        found = []
        for one in self.asked.table:
            seen = self._report.table[one.rule.name]
            found.append(TableVerdict(one.rule, seen.holds, seen.observed[:_SHOWN], seen.observed))
        return found


class ReportedResults(Results):
    """The samples are of rejected records alone: which records break a rule that only warns was not kept."""

    def __init__(self, staged: Staged, judge: Judge, sensitive: frozenset[str], report: Report) -> None:
        super().__init__(staged, judge, sensitive)
        self._read = report.read

    def _broken(self, compiled: CompiledRule) -> str:
        number = next((at for at, rule in enumerate(self._judge.rules) if rule.name == compiled.rule.name), -1)
        return f"SELECT s.rowid AS stage_row, * FROM staged s WHERE list_contains({FAILED}, {number})"
