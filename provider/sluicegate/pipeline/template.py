"""Templates in URIs and arguments: a sandboxed Jinja that knows `window`, `ds` and `params`, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from sluicegate.pipeline.errors import did_you_mean
from sluicegate.pipeline.window import Window

__all__ = ["Problem", "problems", "render", "syntax_problem", "uses"]

NAMES = ("window", "ds", "params")
_EXPRESSION = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)
_WINDOW = ("start", "end", "ds")

_environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a template, what was probably meant, and the words in it that are meant."""

    message: str
    suggestion: str | None = None
    at: str | None = None


def render(template: str, *, window: Window, params: Mapping[str, Any]) -> str:
    """`template` with `window`, `ds` and `params` filled in.

    :raises ValueError: when the template does not parse or uses a name that does not exist.
    """
    if "{" not in template:
        return template
    try:
        return _compiled(template).render(window=window, ds=window.ds, params=params)
    except TemplateError as error:
        raise ValueError(f"cannot fill in {template!r}: {error}") from error


@lru_cache(maxsize=4096)
def uses(template: str) -> frozenset[str]:
    """Which names `template` uses, those below `params` as `params.carrier`; none if it does not parse."""
    if "{" not in template:
        return frozenset()
    try:
        tree = _environment.parse(template)
    except TemplateError:
        return frozenset()
    names = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}
    return frozenset(names | {f"params.{attribute}" for attribute in _attributes(tree, "params")})


def syntax_problem(template: str) -> Problem | None:
    """Why `template` does not parse, for templates whose names are not ours to know."""
    if "{" not in template:
        return None
    try:
        _environment.parse(template)
    except TemplateError as error:
        return Problem(f"the template does not parse: {error.message}", at=_first_broken(template))
    return None


def _first_broken(template: str) -> str | None:
    """The first expression that does not parse by itself; None where it is the blocks that do not fit."""
    for found in _EXPRESSION.finditer(template):
        try:
            _environment.parse(found[0])
        except TemplateError:
            return found[0]
    return None


@lru_cache(maxsize=4096)
def problems(template: str, params: frozenset[str]) -> tuple[Problem, ...]:
    """Everything wrong with a template of ours, given the names of the pipeline's params."""
    if "{" not in template:
        return ()
    if problem := syntax_problem(template):
        return (problem,)
    tree = _environment.parse(template)
    return tuple(_wrong_functions(tree)) or tuple(_wrong_names(tree, params))


def _wrong_functions(tree: nodes.Template) -> Iterator[Problem]:
    for used in tree.find_all(nodes.Filter):
        if used.name not in _environment.filters:
            yield Problem(f"there is no filter `{used.name}`", did_you_mean(used.name, _environment.filters), used.name)
    for tested in tree.find_all(nodes.Test):
        if tested.name not in _environment.tests:
            yield Problem(
                f"there is no test `{tested.name}`", did_you_mean(tested.name, _environment.tests), tested.name
            )


def _wrong_names(tree: nodes.Template, params: frozenset[str]) -> Iterator[Problem]:
    known = "a template knows `ds`, `window.start`, `window.end` and `params`"
    for name in sorted(meta.find_undeclared_variables(tree) - {*NAMES, *_environment.globals}):
        yield Problem(f"`{name}` is unknown: {known}", did_you_mean(name, NAMES), name)
    for attribute in _attributes(tree, "window"):
        if attribute not in _WINDOW:
            yield Problem(f"`window.{attribute}` is unknown: {known}", did_you_mean(attribute, _WINDOW), attribute)
    for attribute in _attributes(tree, "params"):
        if attribute not in params:
            yield Problem(f"there is no param `{attribute}`", did_you_mean(attribute, params), attribute)


def _attributes(tree: nodes.Template, name: str) -> list[str]:
    """The attributes and constant items of the variable `name`, each once, in their order."""
    found = [
        node.attr
        for node in tree.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == name
    ]
    found += [
        str(item.arg.value)
        for item in tree.find_all(nodes.Getitem)
        if isinstance(item.node, nodes.Name) and item.node.name == name and isinstance(item.arg, nodes.Const)
    ]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def _compiled(template: str) -> Template:
    return _environment.from_string(template)
