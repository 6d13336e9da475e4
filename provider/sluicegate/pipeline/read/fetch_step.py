"""The keys of a `fetch` step."""

from __future__ import annotations

from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.model import FetchStep, Step
from sluicegate.pipeline.read.context import Raw, Site
from sluicegate.pipeline.read.validate import leaves, validate_part

__all__ = ["read_fetch"]

_TEMPLATED = ("sql", "api", "params", "headers", "body")


def read_fetch(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """What it fetches is in one mapping, some of whose texts are templates."""
    if "into" not in given:
        site.report.error(where, "missing-key", "a fetch needs `into`: a folder", key=True)
        made["into"] = "x"  # a stand-in lets the rest of the step be checked
    if isinstance(given["fetch"], dict):
        for key in filter(given["fetch"].__contains__, _TEMPLATED):
            for words, place in leaves(given["fetch"][key], (*where, "fetch", key)):
                site.datasets.check_template(words, place)
    return validate_part(FetchStep, made, where, site.report)
