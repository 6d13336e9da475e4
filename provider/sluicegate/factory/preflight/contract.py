"""What is wrong with what a load asks of its records, before there are any: mode and key, columns, checks.

Great Expectations is not imported: arguments of expectations that are not compiled are judged in the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import check_rule, unknown_arguments
from sluicegate.checks.rule import SHORT_NAMES, Rule, rules_of_checks, rules_of_contract
from sluicegate.checks.suite import rules_of_suite
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.faults import FaultError
from sluicegate.graph.cron import zone
from sluicegate.load.request import mode_errors
from sluicegate.pipeline.diagnostics import Where, hint
from sluicegate.pipeline.keys.model import Column, LoadStep
from sluicegate.pipeline.read.expectations import known_expectations
from sluicegate.records.casts import misfits
from sluicegate.records.dialect import Dialect
from sluicegate.records.types import UnknownTypeError, parse_type
from sluicegate.targets.open import dialect_of, is_said_redshift
from sluicegate.targets.redshift.place import folded

__all__ = ["contract_diagnostics"]


def contract_diagnostics(
    step: LoadStep, root: Path, into: str | None, redshift: Collection[str] = (), *, is_whole: bool = True
) -> Iterator[UnplacedDiagnostic]:
    """All of them. `root` is the dags root, from which a suite is found.

    :param into: the place that it loads into, where that is known
    :param redshift: the connections that lead to a Redshift
    :param is_whole: whether no key of the step may be missing because of an error in it
    """
    where: Where = ("steps", step.name)
    for key, why in mode_errors(step) if is_whole else ():
        yield UnplacedDiagnostic((*where, key), "load", why)
    known = _known(step.columns)
    dialect = dialect_of(into, redshift) if into is not None else None
    if into is not None and is_said_redshift(into, redshift):
        yield from _twins(step.columns, (*where, "columns"))
    for name, column in step.columns.items():
        at = (*where, "columns", name)
        if dialect is not None and (unusable := dialect.unusable_column(name)) is not None:
            yield UnplacedDiagnostic(at, "column", f"column `{name}` {unusable}: rename it in the source", key=True)
        yield from _column(name, column, known, at, dialect)
    for index, rule in enumerate(rules_of_checks(step.checks)):
        yield from _check(rule, known, (*where, "checks", index, rule.expectation))
    if step.suite is not None:
        yield from _suite(root, step.suite, known, (*where, "suite"))


def _twins(columns: Mapping[str, Column], where: Where) -> Iterator[UnplacedDiagnostic]:
    """Columns that are one to a Redshift."""
    seen: dict[str, str] = {}
    for name in columns:
        if (other := seen.setdefault(folded(name), name)) != name:
            message = f"columns `{other}` and `{name}` differ by case alone, which Redshift ignores: rename one"
            yield UnplacedDiagnostic((*where, name), "column", message, key=True)


def _column(
    name: str, column: Column, known: Mapping[str, CheckedColumn], where: Where, dialect: Dialect | None
) -> Iterator[UnplacedDiagnostic]:
    type_ = None
    try:
        type_ = parse_type(column.type) if column.type is not None else None
    except UnknownTypeError as error:
        yield UnplacedDiagnostic((*where, "type"), "type", error.message, suggestion=error.suggestion)
    except ValueError as error:
        yield UnplacedDiagnostic((*where, "type"), "type", str(error))
    if dialect is not None and type_ is not None and (unusable := dialect.unusable_type(type_)) is not None:
        yield UnplacedDiagnostic((*where, "type"), "type", f"`{name}` {unusable}")
    for key, misfit in misfits(type_, column):
        yield UnplacedDiagnostic((*where, key), "type", misfit)
    for rule in rules_of_contract({name: column.model_copy(update={"references": None})}):
        if (why := _why_broken(rule, known)) is not None:
            contract = SHORT_NAMES[rule.expectation]
            reason = why.removeprefix(f"{rule.expectation}: ")
            yield UnplacedDiagnostic((*where, contract), "check", f"`{contract}` of `{name}`: {reason}")


def _check(rule: Rule, known: Mapping[str, CheckedColumn], where: Where) -> Iterator[UnplacedDiagnostic]:
    unknown = unknown_arguments(rule)
    for argument, meant in unknown.items():
        message = f"`{rule.expectation}` has no argument `{argument}`"
        yield UnplacedDiagnostic((*where, argument), "unknown-argument", message, key=True, suggestion=meant)
    if not unknown and (why := _why_broken(rule, known)) is not None:
        yield UnplacedDiagnostic(where, "check", why, key=True)


def _suite(root: Path, name: str, known: Mapping[str, CheckedColumn], where: Where) -> Iterator[UnplacedDiagnostic]:
    """The errors in a suite are in another file: they are reported where it is named."""
    try:
        rules: Iterable[Rule] = rules_of_suite(root, name)
    except FaultError as refused:
        yield UnplacedDiagnostic(where, "check", refused.detail)
        return
    names = known_expectations()
    for rule in rules:
        if names and rule.expectation not in names:
            message = f"{rule.place}: there is no expectation `{rule.expectation}`{hint(rule.expectation, names)}"
            yield UnplacedDiagnostic(where, "unknown-expectation", message)
        elif (why := _why_broken(rule, known)) is not None:
            yield UnplacedDiagnostic(where, "check", why)


def _why_broken(rule: Rule, known: Mapping[str, CheckedColumn]) -> str | None:
    try:
        check_rule(rule, known)
    except FaultError as refused:
        return refused.detail
    return None


def _known(columns: Mapping[str, Column]) -> dict[str, CheckedColumn]:
    """The columns whose type the file says."""
    known = {}
    for name, column in columns.items():
        if column.type is None:
            continue
        try:
            type_ = parse_type(column.type)
        except ValueError:
            continue  # reported at its own place
        known[name] = CheckedColumn("value", "missing", type_.duck, type_.kind, _zone(column.zone))
    return known


def _zone(name: str | None) -> str | None:
    """`name` if it is a time zone's; that it is not is reported at its own place."""
    try:
        return name and zone(name).key
    except ValueError:
        return None
