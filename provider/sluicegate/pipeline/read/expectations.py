"""The `checks:` of a load, in Great Expectations' words, known by its files, not by importing it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.model import Check
from sluicegate.pipeline.read.validate import shown
from sluicegate.pipeline.text.source import Report

__all__ = ["known_expectations", "read_checks"]


def read_checks(raw: object, where: Where, report: Report) -> tuple[Check, ...]:
    """A list of `expect_…: {arguments}`; one without arguments may be its name alone."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        report.error(where, "type", f"expected a list of expectations, not {shown(raw)}")
        return ()
    found = []
    for index, item in enumerate(raw):
        at = (*where, index)
        if isinstance(item, str):
            item = {item: None}
        if not isinstance(item, dict) or len(item) != 1:
            report.error(at, "type", "expected one expectation: `- expect_…: {column: …}`")
            continue
        (name, kwargs), *_ = item.items()
        known = known_expectations()
        if known and name not in known:
            meant = did_you_mean(name, known)
            message = f"there is no expectation `{name}`"
            report.error((*at, name), "unknown-expectation", message, key=True, suggestion=meant)
        elif kwargs is not None and not isinstance(kwargs, dict):
            report.error((*at, name), "type", f"expected the expectation's arguments, not {shown(kwargs)}")
        else:
            found.append(Check(expectation=name, kwargs=kwargs or {}))
    return tuple(found)


@lru_cache(maxsize=1)
def known_expectations() -> frozenset[str]:
    """The expectations that are installed and exported; none where the package is not."""
    spec = PathFinder.find_spec("great_expectations")
    if spec is None or spec.origin is None:
        return frozenset()
    exports = Path(spec.origin).parent / "expectations" / "core" / "__init__.py"
    return frozenset(
        re.findall(r"^from \.(expect_\w+|unexpected_rows_expectation) import", exports.read_text(), re.MULTILINE)
    )
