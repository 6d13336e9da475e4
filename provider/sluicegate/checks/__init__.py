"""What a load asks of its records: rules, their SQL, and Great Expectations for whatever has no SQL."""

from __future__ import annotations

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import CompiledRule, compile_rule
from sluicegate.checks.rule import Rule, number_twins, rules_of_checks, rules_of_contract, rules_of_suite

__all__ = [
    "CheckedColumn",
    "CompiledRule",
    "Rule",
    "compile_rule",
    "number_twins",
    "rules_of_checks",
    "rules_of_contract",
    "rules_of_suite",
]
