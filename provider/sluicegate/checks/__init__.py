"""What a load asks of its records: rules, their SQL, and Great Expectations for whatever has no SQL."""

from __future__ import annotations

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import compile_rule, compile_table_rule
from sluicegate.checks.compiler import CompiledRule, CompiledTableRule
from sluicegate.checks.rule import Rule, number_twins, rules_of_checks, rules_of_contract
from sluicegate.checks.suite import rules_of_suite

__all__ = [
    "CheckedColumn",
    "CompiledRule",
    "CompiledTableRule",
    "Rule",
    "compile_rule",
    "compile_table_rule",
    "number_twins",
    "rules_of_checks",
    "rules_of_contract",
    "rules_of_suite",
]
