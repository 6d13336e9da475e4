"""All rules of a load: what its contract, its checks and its suite ask for."""

from __future__ import annotations

from pathlib import Path

from sluicegate.checks.rule import Rule, number_twins, rules_of_checks, rules_of_contract
from sluicegate.checks.suite import rules_of_suite
from sluicegate.pipeline.keys.load import LoadOptions

__all__ = ["rules_of"]


def rules_of(options: LoadOptions, root: Path) -> tuple[Rule, ...]:
    """The contract's, the checks', the suite's; a key column is required in any case.

    :param root: the dags root, from which the suite is found
    :raises FaultError: CHECK_BROKEN when one of them cannot be understood.
    """
    key = [Rule("expect_column_values_to_not_be_null", {"column": name}) for name in options.key]
    suite = rules_of_suite(root, options.suite) if options.suite is not None else []
    return number_twins([*key, *rules_of_contract(options.columns), *rules_of_checks(options.checks), *suite])
