"""The `faults:` of a file: rules for errors. That their codes exist is for the factory to check."""

from __future__ import annotations

import builtins
import re

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.faults import FaultRule
from sluicegate.pipeline.read import code
from sluicegate.pipeline.read.validate import known_keys, shown, validate
from sluicegate.pipeline.text.source import Report

__all__ = ["is_code", "read_faults"]

_AT: Where = ("faults",)
_EXAMPLE = "`- {error: requests.exceptions.HTTPError, status: 409, is: SOURCE_UNAVAILABLE}`"
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,60}")


def is_code(words: str) -> bool:
    """Whether this has the form of a fault's code."""
    return _CODE.fullmatch(words) is not None


def read_faults(value: object, report: Report) -> tuple[FaultRule, ...]:
    """The rules that are right, in their order."""
    if value is None:
        return ()
    if not isinstance(value, list):
        report.error(_AT, "type", f"expected a list of rules, not {shown(value)}: {_EXAMPLE}")
        return ()
    found = (_rule(given, (*_AT, index), report) for index, given in enumerate(value))
    return tuple(rule for rule in found if rule is not None)


def _rule(given: object, at: Where, report: Report) -> FaultRule | None:
    if not isinstance(given, dict):
        report.error(at, "type", f"expected a rule, not {shown(given)}: {_EXAMPLE}")
        return None
    before = report.errors
    said = known_keys(given, keys_of(FaultRule), at, report, "a fault rule")
    rule = validate(FaultRule, {key: item for key, item in said.items() if item is not None}, at, report)
    if rule is None:
        return None
    rule = rule.model_copy(update={"place": at[-1]})
    if rule.error is None and rule.matches is None and not rule.status:
        message = "a rule without a condition would be of all errors: expected `error`, `matches` or `status`"
        report.error(at, "missing-key", message)
    if rule.is_ is None and rule.severity is None:
        report.error(at, "missing-key", "this rule changes nothing: `is` says which fault it is, `severity` how bad")
    if rule.matches is not None:
        _pattern(rule.matches, (*at, "matches"), report)
    if rule.error is not None and not is_code(rule.error):
        _exception(rule.error, (*at, "error"), report)
    return rule if report.errors == before else None


def _pattern(pattern: str, at: Where, report: Report) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        report.error(at, "pattern", f"not a regular expression: {error}")


def _exception(path: str, at: Where, report: Report) -> None:
    if "." not in path:
        known = {name for name, kind in vars(builtins).items() if isinstance(kind, type)}
        errors = {name for name in known if issubclass(getattr(builtins, name), BaseException)}
        if path in errors:
            return
        is_other = "is not an exception" if path in known else "is neither an exception of Python nor a fault's code"
        message = f"`{path}` {is_other}: expected an import path such as `requests.exceptions.HTTPError`"
        report.error(at, "import", message, suggestion=did_you_mean(path, errors))
        return
    try:
        code.find_exception(path, report.source.root)
    except code.CodeError as error:
        report.error(at, "import", str(error), suggestion=error.suggestion)
