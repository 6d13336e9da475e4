"""The keys of `transform`, `python` and `operator` steps, and the code they name."""

from __future__ import annotations

from typing import Any

from sluicegate.graph import template
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.model import OperatorStep, PythonStep, Step, TransformStep
from sluicegate.pipeline.read import code
from sluicegate.pipeline.read.context import Raw, Site
from sluicegate.pipeline.read.validate import leaves, mapping, text, validate_part

__all__ = ["read_operator", "read_python", "read_transform"]

_NOT_THERE = "module:function"
"""Stands for a function that is not there, so that the rest of its step is judged."""
_TRANSFORM_GETS = frozenset({"params", "window"})
_PYTHON_GETS = frozenset({"reads", "writes", "params", "window", "dry_run"})


def read_transform(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """A pure function over tables: gets its reads and `with` by name."""
    if not given["says_writes"]:
        site.report.error(where, "missing-key", "a transform needs `writes`: what its result becomes", key=True)
    arguments = _with(given, where, site)
    for twice in sorted(set(given["reads"]) & set(arguments)):
        message = f"`{twice}` is both read and given by `with`"
        site.report.error((*where, "with", twice), "arguments", message, key=True)
    passed = {*given["reads"], *arguments}
    offered = _TRANSFORM_GETS | _item(site)
    function = _function(given["transform"], (*where, "transform"), passed, offered, site)
    made |= {"transform": function or _NOT_THERE, "with": arguments}
    return validate_part(TransformStep, made, where, site.report)


def read_python(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """A function with side effects: gets `with` by name, and what else it names of what is offered."""
    arguments = _with(given, where, site)
    offered = _PYTHON_GETS | _item(site)
    function = _function(given["python"], (*where, "python"), set(arguments), offered, site)
    made |= {"python": function or _NOT_THERE, "with": arguments}
    return validate_part(PythonStep, made, where, site.report)


def read_operator(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """Any operator of Airflow. That it takes its arguments is for the factory to check, which imports it."""
    at = (*where, "operator")
    path = text(given["operator"], at, site.report)
    if path is None:
        return None
    try:
        code.find_attribute(path, site.root)
    except code.CodeError as error:
        site.report.error(at, "import", str(error), suggestion=error.suggestion)
    arguments = mapping(given.get("with"), (*where, "with"), site.report)
    for words, place in leaves(arguments, (*where, "with")):
        if wrong := template.syntax_diagnostic(words):
            site.report.error(place, "template", wrong.message, inside=wrong.at)
        elif not site.datasets.mapped and template.needs_item(words):
            message = "there is no `item`: only a step with `for_each` has one"
            site.report.error(place, "template", message, inside="item")
    made |= {"operator": path, "with": arguments}
    return validate_part(OperatorStep, made, where, site.report)


def _item(site: Site) -> frozenset[str]:
    return frozenset({template.ITEM} if site.datasets.mapped else ())


def _with(given: Raw, where: Where, site: Site) -> Raw:
    arguments = mapping(given.get("with"), (*where, "with"), site.report)
    for words, place in leaves(arguments, (*where, "with")):
        site.datasets.check_template(words, place)
    return arguments


def _function(raw: object, where: Where, passed: set[str], offered: frozenset[str], site: Site) -> str | None:
    """The reference, when it is one.

    Notes when the function is not there, does not take what is `passed`, or needs more than is `offered`.
    """
    reference = text(raw, where, site.report)
    if reference is None:
        return None
    try:
        signature = code.find_function(reference, site.root)
    except code.CodeError as error:
        site.report.error(where, "import", str(error), suggestion=error.suggestion)
        return None
    if signature is not None and signature.is_async:
        site.report.error(where, "arguments", f"`{reference}` is async: a step calls a plain function")
    elif signature is not None:
        _check_arguments(reference.partition(":")[2], signature, where, passed, offered, site)
    return reference


def _check_arguments(
    function: str,
    signature: code.Signature,
    where: Where,
    passed: set[str],
    offered: frozenset[str],
    site: Site,
) -> None:
    for name in sorted(signature.required - passed - offered):
        site.report.error(where, "arguments", f"`{function}` needs `{name}`, which this step does not give it")
    if not signature.takes_any:
        for name in sorted(passed - set(signature.parameters)):
            meant = did_you_mean(name, signature.parameters)
            at = _passed_at(name, where, site)
            site.report.error(at, "arguments", f"`{function}` takes no `{name}`", key=True, suggestion=meant)


def _passed_at(name: str, where: Where, site: Site) -> Where:
    """Where the step whose function is at `where` says that it passes `name`: in `with`, else in `reads`."""
    *way, _ = where
    step: Any = site.report.source.value
    for part in way:
        step = step[part]
    given = step.get("with")
    return (*way, "with" if isinstance(given, dict) and name in given else "reads", name)
