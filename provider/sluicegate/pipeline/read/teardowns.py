"""`teardown_of:` of a step: how it is read, and what Airflow demands of setups and teardowns."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sluicegate.graph.edges import edges
from sluicegate.pipeline.diagnostics import Diagnostic, Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Pipeline, TeardownOf
from sluicegate.pipeline.read.context import Site
from sluicegate.pipeline.read.validate import known_keys, shown, texts, validate
from sluicegate.pipeline.text.source import Source

__all__ = ["check_teardowns", "read_teardown_of"]


def read_teardown_of(raw: object, own: str, names: Collection[str], where: Where, site: Site) -> TeardownOf | None:
    """A step, a list of steps, or `{steps: …, fail_run: true}`."""
    given, at = {"steps": raw}, where
    if isinstance(raw, dict):
        given, at = known_keys(raw, keys_of(TeardownOf), where, site.report, "`teardown_of`"), (*where, "steps")
        if "steps" not in given:
            site.report.error(where, "missing-key", "`steps` is missing: the steps that are undone", key=True)
            return None
    listed = isinstance(given["steps"], list)
    if given["steps"] == []:
        site.report.error(at, "value", "a teardown undoes at least one step")
        return None
    steps = texts(given["steps"], at, site.report, "a step")
    for index, step in enumerate(steps):
        place = (*at, index) if listed else at
        if step == own:
            site.report.error(place, "cycle", f"`{own}` cannot undo itself")
        elif step not in names:
            meant = did_you_mean(step, set(names) - {own})
            site.report.error(place, "missing-step", f"there is no step {shown(step)}", suggestion=meant)
    return validate(TeardownOf, {**given, "steps": steps}, where, site.report)


def check_teardowns(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """What Airflow would refuse, or would not do as it is meant."""
    ends = {name: step.teardown_of.steps for name, step in pipeline.steps.items() if step.teardown_of is not None}
    setups = {setup for steps in ends.values() for setup in steps}
    for name, steps in ends.items():
        if pipeline.steps[name].trigger_rule is not None:
            message = "a teardown has its own rule: it runs when its setups succeeded and all after them are done"
            yield source.diagnostic(("steps", name, "trigger_rule"), "value", message, key=True)
        for setup in steps:
            if setup in ends:
                message = f"`{setup}` is a teardown itself: it cannot be undone"
                yield source.diagnostic(("steps", name, "teardown_of"), "value", message)
    for before, after in edges(pipeline) if setups else ():
        rule = pipeline.steps[after].trigger_rule
        if before in setups and after not in ends and rule not in (None, "all_success"):
            message = f"`{before}` is a setup: what comes right after one has the rule all_success"
            yield source.diagnostic(("steps", after, "trigger_rule"), "value", message)
