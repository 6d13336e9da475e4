"""Values of a file as Python objects, typed by what takes them: durations, moments, enums, functions, objects.

What the annotation of an argument certainly does not allow is a diagnostic with its place; where it does not
say, a value passes as it is.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sluicegate.factory.arguments.annotations import ANYTHING, Target, targets_of
from sluicegate.factory.arguments.imports import imported
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.read import code
from sluicegate.pipeline.read.validate import BOOLEANS, shown
from sluicegate.pipeline.text.quantities import parse_duration
from sluicegate.runtime.signatures import arguments_of, missing_arguments, takes_any

__all__ = ["Typist"]

_OBJECT = frozenset({"class", "with"})
_EXPECTED = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_EXPECTED_MOMENTS = {
    dt.timedelta: "a duration such as 30s or 1h",
    dt.datetime: "a moment such as 2026-01-31T07:00",
    dt.date: "a day such as 2026-01-31",
    dt.time: "a time of day such as 07:30",
}


@dataclass
class Typist:
    """Types the values of one pipeline, and keeps what it finds wrong with them.

    :param root: the dags root, from which functions are found
    :param timezone: of moments that name none
    """

    root: Path
    timezone: str
    diagnostics: list[UnplacedDiagnostic]

    def arguments(
        self,
        kind: type,
        given: Mapping[str, Any],
        where: Where,
        *,
        targets: Mapping[str, Target] | None = None,
        templates: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        """`given` as arguments for the constructor of `kind`.

        :param targets: what takes precedence over its annotations
        :param templates: the arguments that may be a template instead
        """
        known = targets_of(kind)
        refused = {diagnostic.where for diagnostic in self.diagnostics}  # by name already: one diagnostic is enough
        typed = {}
        for name, value in given.items():
            if refused and (*where, name) in refused:
                continue
            target = (targets or {}).get(name) or known.get(name, ANYTHING)
            if type(value) in target.plain:
                typed[name] = value
            else:
                typed[name] = self.value(value, target, (*where, name), templated=name in templates)
        return typed

    def value(self, value: Any, target: Target, where: Where, *, templated: bool = False) -> Any:
        """`value` as what `target` takes; as it is, with a diagnostic, where it takes nothing of the kind.

        :param templated: whether a template is filled in before the value is used
        """
        if value is None or type(value) in target.plain or (templated and _is_template(value)):
            return value
        match value:
            case {"class": str(), **rest} if not target.mapping and rest.keys() <= _OBJECT:
                return self.object(value, where)
            case dict() if target.mapping:
                inner = target.values or ANYTHING
                return {key: self.value(item, inner, (*where, key), templated=templated) for key, item in value.items()}
            case list() if target.makes is not None or target.anything:
                inner = target.items or ANYTHING
                items = [
                    self.value(item, inner, (*where, index), templated=templated) for index, item in enumerate(value)
                ]
                return target.makes(items) if target.makes is not None else items
            case str():
                return self._text(value, target, where)
        if not target.anything:
            self._refuse(value, target, where)
        return value

    def object(self, value: Mapping[str, Any], where: Where, key: str = "class") -> Any:
        """What `{class: import.path, with: {…}}` makes.

        :param key: its value of `class`
        """
        path, at = value[key], (*where, key)
        given = value.get("with") or {}
        try:
            kind = imported(path, at)
        except BuildError as error:
            self.diagnostics += error.diagnostics
            return None
        if not isinstance(kind, type) or not isinstance(given, dict):
            wrong = f"`{path}` is not a class" if not isinstance(kind, type) else "`with` holds arguments by name"
            self.diagnostics.append(UnplacedDiagnostic(at, "import", wrong))
            return None
        before = len(self.diagnostics)
        self.diagnostics += _argument_diagnostics(kind, given, (*where, "with"))
        arguments = self.arguments(kind, given, (*where, "with"))
        if len(self.diagnostics) > before:
            return None
        try:
            return kind(**arguments)
        except Exception as error:
            message = f"{kind.__name__} does not take this: {type(error).__name__}: {error}"
            self.diagnostics.append(UnplacedDiagnostic(where, "argument", message))
            return None

    def _text(self, value: str, target: Target, where: Where) -> Any:
        if value in target.texts:
            return value
        for kind in target.enums:
            for member in kind:
                if value in (member.value, member.name):
                    return member
        for moment in (dt.timedelta, dt.datetime, dt.date, dt.time):
            if moment in target.moments and (found := self._moment(value, moment)) is not None:
                return found
        if target.function and not (target.anything and ":" not in value):
            return self._function(value, where)
        if target.path:
            return Path(value)
        if not target.anything:
            self._refuse(value, target, where)
        return value

    def _moment(self, value: str, kind: type) -> Any:
        try:
            if kind is dt.timedelta:
                return parse_duration(value)
            if kind is dt.datetime:
                moment = dt.datetime.fromisoformat(value)
                return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(self.timezone))
            return dt.date.fromisoformat(value) if kind is dt.date else dt.time.fromisoformat(value)
        except ValueError:
            return None

    def _function(self, reference: str, where: Where) -> Any:
        """The function that `module:function` names: looked for in the source first, which suggests what was meant."""
        try:
            code.find_function(reference, self.root)
        except code.CodeError as error:
            self.diagnostics.append(UnplacedDiagnostic(where, "import", str(error), suggestion=error.suggestion))
            return None
        module, _, name = reference.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:
            message = f"importing `{reference}` failed: {type(error).__name__}: {error}"
            self.diagnostics.append(UnplacedDiagnostic(where, "import", message))
            return None
        if not callable(found):
            self.diagnostics.append(UnplacedDiagnostic(where, "import", f"`{reference}` is not a function"))
        return found

    def _refuse(self, value: Any, target: Target, where: Where) -> None:
        options = [str(member.value) for kind in target.enums for member in kind] + list(target.texts)
        meant: str | None = None
        if isinstance(value, str):
            meant = did_you_mean(value, options)
            if bool in target.plain:
                meant = meant or BOOLEANS.get(value.lower())
        hint = ""
        if _is_template(value):
            hint = ": no template is filled in here"
        elif str in target.plain and isinstance(value, int | float):
            hint = ": write it in quotes"
        message = f"expected {' or '.join(_expected(target, options))}, not {shown(value)}{hint}"
        self.diagnostics.append(UnplacedDiagnostic(where, "type", message, suggestion=meant))


def _expected(target: Target, options: list[str]) -> Iterator[str]:
    if options:
        yield f"one of {', '.join(options)}"
    if target.plain >= {int, float}:
        yield "a number"
    yield from (words for kind, words in _EXPECTED.items() if kind in target.plain and kind not in (int, float))
    if int in target.plain and float not in target.plain:
        yield _EXPECTED[int]
    yield from (words for kind, words in _EXPECTED_MOMENTS.items() if kind in target.moments)
    if target.function:
        yield "module:function"
    if target.path:
        yield "a path"
    if target.makes is not None:
        yield "a list"
    if target.mapping:
        yield "keys and values"
    if target == Target():
        yield "nothing"


def _argument_diagnostics(kind: type, given: Mapping[str, Any], where: Where) -> Iterator[UnplacedDiagnostic]:
    known = arguments_of(kind)
    for name in given if not takes_any(kind) else ():
        if name not in known:
            message = f"{kind.__name__} takes no argument `{name}`"
            meant = did_you_mean(name, sorted(known))
            yield UnplacedDiagnostic((*where, name), "argument", message, key=True, suggestion=meant)
    if missing := missing_arguments(kind, given):
        names = ", ".join(f"`{name}`" for name in missing)
        yield UnplacedDiagnostic(where, "argument", f"{kind.__name__} needs {names}", key=True)


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)
