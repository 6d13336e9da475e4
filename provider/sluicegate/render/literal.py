"""Values as expressions of Python, and the imports that these need."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from keyword import iskeyword
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.xcom_arg import PlainXComArg

from sluicegate.pipeline.text.quantities import Limit
from sluicegate.render.expression import WIDTH, Expression, Group, call, laid_out, one_line, quoted
from sluicegate.render.parts import home_of, parts_of
from sluicegate.runtime.operator import before_operator_step

__all__ = ["Imports", "NotPythonError", "Writer"]

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


class NotPythonError(ValueError):
    """A value that no expression makes again."""


@dataclass
class Imports:
    """`from module import name`, each once; a name that two modules have is called otherwise the second time."""

    names: dict[tuple[str, str], str] = field(default_factory=dict)

    def name(self, module: str, name: str) -> str:
        """What the thing is called in the file."""
        first = name.partition(".")[0]
        if module == "builtins":
            return name
        if (module, first) not in self.names:
            taken = set(self.names.values())
            called = first
            while called in taken:
                called += "_"
            self.names[module, first] = called
        return self.names[module, first] + name[len(first) :]

    def lines(self, standard: frozenset[str]) -> list[str]:
        """Sorted, the standard library's first, as import sorters have them."""
        by_module: dict[str, list[str]] = {}
        for (module, name), called in self.names.items():
            by_module.setdefault(module, []).append(name if called == name else f"{name} as {called}")
        lines: list[str] = []
        for group in (True, False):
            modules = sorted(each for each in by_module if (each.partition(".")[0] in standard) is group)
            if lines and modules:
                lines.append("")
            lines += [_import(module, by_module[module]) for module in modules]
        return lines


def _import(module: str, names: list[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import " + laid_out(Group("(", tuple(("", name) for name in ordered), ")"), used=WIDTH)


@dataclass
class Writer:
    """Writes values. `root` becomes the constant ROOT; `named` are values that have a name in the file."""

    root: str
    imports: Imports = field(default_factory=Imports)
    named: list[tuple[Any, str]] = field(default_factory=list)
    tasks: Mapping[str, str] = field(default_factory=dict)
    """The variables of tasks, by task id."""
    uses_root: bool = False

    def write(self, value: Any) -> Expression:
        """An expression that makes the value again.

        :raises NotPythonError: when there is none
        """
        for known, name in self.named:
            if type(known) is type(value) and known == value:
                return name
        if value is None or isinstance(value, bool) or type(value) in (int, bytes):
            return repr(value)
        if value is before_operator_step:
            return self.imports.name("sluicegate.runtime.operator", "before_operator_step")
        if isinstance(value, Enum):
            return self._enum(value)
        if isinstance(value, float):
            return repr(value) if value == value and abs(value) != float("inf") else f'float("{value}")'
        if isinstance(value, str):
            return self._text(str(value))
        if isinstance(value, Mapping):
            return Group(
                "{", tuple((f"{one_line(self.write(key))}: ", self.write(each)) for key, each in value.items()), "}"
            )
        if isinstance(value, list):
            return Group("[", tuple(("", self.write(each)) for each in value), "]")
        if isinstance(value, tuple):
            return Group("(", tuple(("", self.write(each)) for each in value), ")")
        if isinstance(value, Set):
            return self._set(value)
        return self._object(value)

    def _enum(self, value: Enum) -> Expression:
        if isinstance(value, str) and type(value).__module__.startswith("sluicegate."):
            return quoted(str(value.value))  # our own take the word as well
        return f"{self._name(type(value))}.{value.name}"

    def _text(self, words: str) -> Expression:
        if words != self.root and not words.startswith(f"{self.root}/"):
            return quoted(words)
        self.uses_root = True
        return "ROOT" if words == self.root else f"ROOT + {quoted(words.removeprefix(self.root))}"

    def _set(self, value: Set[Any]) -> Expression:
        items = tuple(sorted((("", self.write(each)) for each in value), key=str))
        if isinstance(value, frozenset) or not items:
            inner = [Group("{", items, "}")] if items else []
            return call("frozenset" if isinstance(value, frozenset) else "set", inner, ())
        return Group("{", items, "}")

    def _object(self, value: Any) -> Expression:
        if isinstance(value, Limit):
            return repr(value.rows) if value.rows is not None else quoted(str(value))
        if isinstance(value, Decimal):
            return f"{self._name(Decimal)}({quoted(str(value))})"
        if isinstance(value, timedelta):
            return self._duration(value)
        if isinstance(value, datetime):
            return self._moment(value)
        if isinstance(value, date):
            return f"{self._name(date)}({value.year}, {value.month}, {value.day})"
        if isinstance(value, tzinfo):
            return self._zone(value)
        if isinstance(value, PurePath):
            return call(self._name(type(value)), [self._text(str(value))], ())
        if isinstance(value, PlainXComArg) and value.operator.task_id in self.tasks:
            task = self.tasks[value.operator.task_id]
            return f"{task}.output" if value.key == "return_value" else f"{task}.output[{quoted(value.key)}]"
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            return self._name(value)
        if isinstance(value, MethodType) and isinstance(value.__self__, type):
            return f"{self._name(value.__self__)}.{value.__name__}"
        return self._made(value)

    def _made(self, value: Any) -> Expression:
        parts = parts_of(value)
        if parts is None:
            raise NotPythonError(f"a {type(value).__qualname__} cannot be written as Python")
        if wrong := [name for name in parts.named if iskeyword(name)]:
            raise NotPythonError(f"a {type(value).__qualname__} cannot be written as Python: {', '.join(wrong)}")
        positional = [self.write(each) for each in parts.positional.values()]
        return call(
            self._name(parts.kind), positional, [(name, self.write(each)) for name, each in parts.named.items()]
        )

    def _duration(self, value: timedelta) -> Expression:
        """In the largest unit that says it."""
        seconds = value.total_seconds()
        for unit, size in _UNITS:
            if seconds % size == 0 and (seconds or unit == "seconds"):
                return f"{self._name(timedelta)}({unit}={int(seconds) // size})"
        return call(
            self._name(timedelta), (), [(word, repr(getattr(value, word))) for word in _FIELDS if getattr(value, word)]
        )

    def _moment(self, value: datetime) -> Expression:
        fields = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
        while len(fields) > 3 and not fields[-1]:
            fields.pop()
        zone = [] if value.tzinfo is None else [("tzinfo", self._zone(value.tzinfo))]
        return call(self._name(datetime), map(str, fields), zone)

    def _zone(self, zone: tzinfo) -> Expression:
        if zone is UTC or str(zone) == "UTC":
            return self.imports.name("datetime", "UTC")
        if isinstance(zone, ZoneInfo):
            return f"{self._name(ZoneInfo)}({quoted(zone.key)})"
        offset = zone.utcoffset(None)
        if offset is None:
            raise NotPythonError(f"the time zone {zone} cannot be written as Python")
        return f"{self.imports.name('datetime', 'timezone')}({one_line(self._duration(offset))})"

    def _name(self, thing: Any) -> str:
        try:
            return self.imports.name(*home_of(thing))
        except ValueError as error:
            raise NotPythonError(str(error)) from error


_FIELDS = ("days", "seconds", "microseconds")
