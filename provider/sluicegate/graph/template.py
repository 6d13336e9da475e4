"""Templates in URIs and arguments: a sandboxed Jinja that knows `window`, `ds` and `params`, nothing else.

In a step with `for_each` it knows `item` as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from sluicegate.graph.window import Window
from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = [
    "TemplateDiagnostic",
    "before_item",
    "diagnostics",
    "evaluate",
    "masks",
    "needs_item",
    "render",
    "same_place",
    "syntax_diagnostic",
    "uses",
    "value_of",
]  # fmt: skip

NAMES = ("window", "ds", "params")
_EXPRESSION = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)
ITEM = "item"
_WINDOW = ("start", "end", "ds")
_INSIDE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_TEMPLATES = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_WITH_ITEM = re.compile(r"\{[{%](?:(?![}%]\}).)*\bitem\b", re.DOTALL)

_environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


@dataclass(frozen=True)
class TemplateDiagnostic:
    """What is wrong with a template, what was probably meant, and the words in it that are meant."""

    message: str
    suggestion: str | None = None
    at: str | None = None


def render(template: str, *, window: Window, params: Mapping[str, Any], **names: Any) -> str:
    """`template` with `window`, `ds`, `params` and further `names` (the `item` of a mapped step) filled in.

    :raises ValueError: when the template does not parse or uses a name that does not exist.
    """
    if "{" not in template:
        return template
    try:
        return _compiled(template).render(window=window, ds=window.ds, params=params, **names)
    except TemplateError as error:
        raise ValueError(f"cannot fill in {template!r}: {error}") from error


def evaluate(expression: str, *, window: Window, params: Mapping[str, Any], **names: Any) -> Any:
    """The value of what is between `{{` and `}}`, as it is and not as a text.

    :raises ValueError: when it does not parse or uses a name that does not exist.
    """
    try:
        value = _expression(expression)(window=window, ds=window.ds, params=params, **names)
        if isinstance(value, StrictUndefined):
            str(value)  # raises, with the name
    except TemplateError as error:
        raise ValueError(f"cannot fill in {{{{ {expression} }}}}: {error}") from error
    return value


def value_of(said: Any, *, window: Window, params: Mapping[str, Any], **names: Any) -> Any:
    """What `said` is with its template filled in: of a template that is one expression, that expression's value.

    :raises ValueError: as `render` does.
    """
    if not isinstance(said, str) or "{" not in said:
        return said
    if (alone := _INSIDE.fullmatch(said.strip())) is None:
        return render(said, window=window, params=params, **names)
    return evaluate(alone[1], window=window, params=params, **names)


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


@lru_cache(maxsize=4096)
def needs_item(template: str) -> bool:
    """Whether `template` cannot be filled in without the `item` of a mapped step."""
    if ITEM not in template or "{" not in template:
        return False
    try:
        return ITEM in meta.find_undeclared_variables(_environment.parse(template))
    except TemplateError:
        return False


def same_place(uri: str) -> str:
    """A URI as it is compared with others: without the blanks inside its templates."""
    return _INSIDE.sub(r"{{\1}}", uri)


def masks() -> Callable[[str], str]:
    """What makes of each template in a URI one sign, the same one for the same template."""
    signs: dict[str, str] = {}

    def masked(uri: str) -> str:
        return _TEMPLATES.sub(lambda found: signs.setdefault(found[0], chr(0xE000 + len(signs))), same_place(uri))

    return masked


def before_item(uri: str) -> str:
    """What all items have in common at the beginning of a URI, as `same_place` has it."""
    found = _WITH_ITEM.search(uri)
    return same_place(uri[: found.start()] if found else uri)


def syntax_diagnostic(template: str) -> TemplateDiagnostic | None:
    """Why `template` does not parse, for templates whose names are not ours to know."""
    if "{" not in template:
        return None
    try:
        _environment.parse(template)
    except TemplateError as error:
        return TemplateDiagnostic(f"the template does not parse: {error.message}", at=_first_broken(template))
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
def diagnostics(template: str, params: frozenset[str], mapped: bool = False) -> tuple[TemplateDiagnostic, ...]:
    """Everything wrong with a template of ours, given the names of the pipeline's params.

    :param mapped: whether there is an `item`
    """
    if "{" not in template:
        return ()
    if diagnostic := syntax_diagnostic(template):
        return (diagnostic,)
    tree = _environment.parse(template)
    return tuple(_wrong_functions(tree)) or tuple(_wrong_names(tree, params, mapped))


def _wrong_functions(tree: nodes.Template) -> Iterator[TemplateDiagnostic]:
    for used in tree.find_all(nodes.Filter):
        if used.name not in _environment.filters:
            yield TemplateDiagnostic(
                f"there is no filter `{used.name}`", did_you_mean(used.name, _environment.filters), used.name
            )
    for tested in tree.find_all(nodes.Test):
        if tested.name not in _environment.tests:
            yield TemplateDiagnostic(
                f"there is no test `{tested.name}`", did_you_mean(tested.name, _environment.tests), tested.name
            )


def _wrong_names(tree: nodes.Template, params: frozenset[str], mapped: bool) -> Iterator[TemplateDiagnostic]:
    names = (*NAMES, ITEM) if mapped else NAMES
    known = "a template knows `ds`, `window.start`, `window.end` and `params`"
    for name in sorted(meta.find_undeclared_variables(tree) - {*names, *_environment.globals}):
        if name == ITEM:
            yield TemplateDiagnostic("there is no `item`: only a step with `for_each` has one", at=name)
        else:
            yield TemplateDiagnostic(f"`{name}` is unknown: {known}", did_you_mean(name, names), name)
    for attribute in _attributes(tree, "window"):
        if attribute not in _WINDOW:
            yield TemplateDiagnostic(
                f"`window.{attribute}` is unknown: {known}", did_you_mean(attribute, _WINDOW), attribute
            )
    for attribute in _attributes(tree, "params"):
        if attribute not in params:
            yield TemplateDiagnostic(f"there is no param `{attribute}`", did_you_mean(attribute, params), attribute)


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


@lru_cache(maxsize=4096)
def _expression(words: str) -> Callable[..., Any]:
    return _environment.compile_expression(words, undefined_to_none=False)
