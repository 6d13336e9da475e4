"""What a load asks of its records: rules in Great Expectations' words, from the contract, the checks and the suite.

Values only; what a rule means is said in `compile` and `expectations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sluicegate.faults import fault
from sluicegate.pipeline.diagnostics import hint
from sluicegate.pipeline.keys.model import Check, Column

__all__ = [
    "ABOUT", "REFERENCES", "SEVERITIES", "SHORT_NAMES", "Rule", "number_twins", "rules_of_checks", "rules_of_contract",
    "split_reference",
]  # fmt: skip

ABOUT = {"meta", "notes", "description", "severity", "id", "rendered_content", "result_format", "catch_exceptions"}
"""Arguments that say nothing about which records are bad."""
SEVERITIES = ("critical", "warning", "info")
"""What Great Expectations lets an expectation say of its failure."""
_LEVELS = ", ".join(SEVERITIES)
REFERENCES = "references"
"""What a rule asks whose values have to be those of another dataset; no expectation of Great Expectations."""
SHORT_NAMES: Mapping[str, str] = {
    "expect_column_values_to_not_be_null": "required",
    "expect_column_values_to_be_null": "null",
    "expect_column_values_to_be_between": "between",
    "expect_column_values_to_be_in_set": "in",
    "expect_column_values_to_not_be_in_set": "not_in",
    "expect_column_values_to_match_regex": "matches",
    "expect_column_values_to_not_match_regex": "not_matches",
    "expect_column_values_to_match_regex_list": "matches_list",
    "expect_column_values_to_not_match_regex_list": "not_matches_list",
    "expect_column_value_lengths_to_be_between": "length",
    "expect_column_value_lengths_to_equal": "length",
    "expect_column_values_to_be_unique": "unique",
    "expect_compound_columns_to_be_unique": "unique",
}
"""How the rules that are compiled are called in dead letters and reports."""


@dataclass(frozen=True)
class Rule:
    """One expectation. `name` is short and stable: `required:tailnum`, `between:wind_speed`. `place` is where it is
    said, where that is another file: `suites/orders.json:12`.
    """

    expectation: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    place: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            short = SHORT_NAMES.get(self.expectation, self.expectation)
            object.__setattr__(self, "name", ":".join([short, "+".join(self.columns)]) if self.columns else short)

    @property
    def said(self) -> str:
        """The expectation, with its place in another file: how an error in it begins."""
        return f"{self.place}: {self.expectation}" if self.place else self.expectation

    @property
    def severity(self) -> str:
        """What a failure means: `critical`, or only a `warning` or an `info`.

        :raises FaultError: CHECK_BROKEN when it is none of these.
        """
        severity = self.kwargs.get("severity") or "critical"
        if severity not in SEVERITIES:
            detail = f"{self.said}: severity is {severity!r}{hint(severity, SEVERITIES)} (expected {_LEVELS})"
            raise fault("CHECK_BROKEN", detail, rule=self.name)
        return str(severity)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, as far as its arguments say so in the usual places."""
        named = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        if isinstance(several := self.kwargs.get("column_list"), (list, tuple)):
            named += several
        return tuple(str(name) for name in named)


def rules_of_contract(columns: Mapping[str, Column]) -> list[Rule]:
    """What `columns:` asks for."""
    rules: list[Rule] = []
    for name, column in columns.items():
        if column.required:
            rules.append(Rule("expect_column_values_to_not_be_null", {"column": name}))
        if column.between is not None:
            low, high = column.between
            limits = {"min_value": low, "max_value": high}
            rules.append(Rule("expect_column_values_to_be_between", {"column": name, **limits}))
        if column.in_ is not None:
            rules.append(Rule("expect_column_values_to_be_in_set", {"column": name, "value_set": list(column.in_)}))
        if column.matches is not None:
            rules.append(Rule("expect_column_values_to_match_regex", {"column": name, "regex": column.matches}))
        if column.unique:
            rules.append(Rule("expect_column_values_to_be_unique", {"column": name}))
        if column.references is not None:
            rules.append(Rule(REFERENCES, {"column": name, "references": column.references}))
    return rules


def split_reference(reference: str) -> tuple[str, str] | None:
    """Dataset and column of `dataset.column` or `pipeline.dataset.column`; None for anything else."""
    dataset, _, column = reference.rpartition(".")
    return (dataset, column) if dataset and column and dataset.count(".") < 2 else None


def rules_of_checks(checks: Iterable[Check]) -> list[Rule]:
    """What `checks:` asks for, as written."""
    return [Rule(check.expectation, dict(check.kwargs)) for check in checks]


def number_twins(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """`rules` without repetitions; where different ones have one name, the later are `name#2`, `name#3`."""
    kept: list[Rule] = []
    seen: dict[str, int] = {}
    for rule in rules:
        if any((rule.expectation, dict(rule.kwargs)) == (other.expectation, dict(other.kwargs)) for other in kept):
            continue
        seen[rule.name] = seen.get(rule.name, 0) + 1
        number = seen[rule.name]
        kept.append(rule if number == 1 else replace(rule, name=f"{rule.name}#{number}"))
    return tuple(kept)
