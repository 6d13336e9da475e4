"""A suite that Great Expectations saved as JSON, of version 1 or before, as rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sluicegate.checks.rule import Rule
from sluicegate.faults import fault
from sluicegate.pipeline.diagnostics import PipelineErrors
from sluicegate.pipeline.text.yaml import parse

__all__ = ["rules_of_suite"]

_FOR_ITS_MAKER = {"auto", "profiler_config", "include_config"}
"""Arguments of versions before 1 that say how an expectation was made."""


def rules_of_suite(root: Path, name: str) -> list[Rule]:
    """The expectations of the suite `name`, a path below `root`.

    :raises FaultError: CHECK_BROKEN when the file is missing or is not a suite, with its place.
    """
    data = _content(root / name, name)
    try:
        suite = json.loads(data)
    except ValueError as error:
        line = f":{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _broken(f"{name}{line}", f"it is not JSON: {error}") from error
    entries = suite.get("expectations") if isinstance(suite, dict) else None
    if not isinstance(entries, list):
        raise _broken(name, "it is not a suite of Great Expectations: it has no list `expectations`")
    places = _places(data, root / name, len(entries))
    return [_rule(entry, f"{name}{place}") for entry, place in zip(entries, places, strict=True)]


def _content(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as missing:
        raise _broken(name, f"the suite cannot be read: {missing.strerror}") from missing


def _places(data: bytes, file: Path, count: int) -> list[str]:
    """Where each expectation begins: its line, or its number in JSON that is not YAML too."""
    try:
        document = parse(data, file)
    except PipelineErrors:
        return [f": expectations[{index}]" for index in range(count)]
    return [f":{document.follow(('expectations', index))[3].line}" for index in range(count)]


def _rule(entry: object, place: str) -> Rule:
    given = entry if isinstance(entry, Mapping) else {}
    expectation, kwargs = given.get("type") or given.get("expectation_type"), given.get("kwargs") or {}
    if not isinstance(expectation, str) or not isinstance(kwargs, Mapping):
        raise _broken(place, "it is not an expectation: {type: expect_..., kwargs: {...}}")
    for name, value in kwargs.items():
        if isinstance(value, Mapping) and "$PARAMETER" in value:
            detail = f"{expectation}: {name} is the suite parameter {value['$PARAMETER']!r}, which a load does not give"
            raise _broken(place, f"{detail}: write its value")
    made = {name: value for name, value in kwargs.items() if name not in _FOR_ITS_MAKER}
    if given.get("severity") is not None:
        made["severity"] = given["severity"]
    return Rule(expectation, made, place=place)


def _broken(place: str, why: str) -> Exception:
    return fault("CHECK_BROKEN", f"{place}: {why}")
