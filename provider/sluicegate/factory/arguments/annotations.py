"""What an argument takes, by its annotation. Nothing is guessed: what cannot be read off takes anything."""

from __future__ import annotations

import builtins
import collections
import collections.abc
import datetime as dt
import enum
import inspect
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["ANYTHING", "Target", "target_of", "targets_of"]

_LISTS: Mapping[Any, Callable[[list[Any]], Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset,
    collections.abc.Sequence: list, collections.abc.MutableSequence: list, collections.abc.Collection: list,
    collections.abc.Iterable: list, collections.abc.Set: set,
}  # fmt: skip
_LOOSE = (collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable)
"""A text is one of these as well."""


@dataclass(frozen=True)
class Target:
    """Each field is one thing that the argument takes; `anything`: and perhaps others that are not known here."""

    anything: bool = False
    plain: frozenset[type] = frozenset()
    """Of `str`, `bool`, `int`, `float` those that are taken as they are."""
    texts: tuple[str, ...] = ()
    """The only texts, where an annotation lists them."""
    enums: tuple[type[enum.Enum], ...] = ()
    moments: frozenset[type] = frozenset()
    """Of `timedelta`, `datetime`, `date` and `time`."""
    function: bool = False
    path: bool = False
    makes: Callable[[list[Any]], Any] | None = None
    """Out of a list what the argument takes."""
    items: Target | None = None
    mapping: bool = False
    values: Target | None = None

    def __or__(self, other: Target) -> Target:
        return Target(
            anything=self.anything or other.anything,
            plain=self.plain | other.plain,
            texts=self.texts + other.texts,
            enums=self.enums + other.enums,
            moments=self.moments | other.moments,
            function=self.function or other.function,
            path=self.path or other.path,
            makes=self.makes or other.makes,
            items=_either(self.items, other.items),
            mapping=self.mapping or other.mapping,
            values=_either(self.values, other.values),
        )


def _either(first: Target | None, second: Target | None) -> Target | None:
    return first | second if first is not None and second is not None else first or second


ANYTHING = Target(anything=True)
_NOTHING = Target()
_PLAIN = (str, bool, int, float)
_MOMENTS = (dt.timedelta, dt.datetime, dt.date, dt.time)


class _UnknownMeta(type):
    """Every attribute and every index of what is unknown is unknown."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, key: object) -> Any:
        return cls


class _Unknown(metaclass=_UnknownMeta):
    """Stands for a name that exists only for type checkers."""


_KNOWN: dict[str, Any] = {
    **{name: getattr(typing, name) for name in typing.__all__},
    **{name: getattr(collections.abc, name) for name in collections.abc.__all__},
    "collections": collections, "abc": collections.abc, "typing": typing, "datetime": dt.datetime,
    "timedelta": dt.timedelta, "date": dt.date, "time": dt.time, "Path": pathlib.Path,
    # Names that Airflow's own annotations use without importing them.
    "TaskStateChangeCallback": collections.abc.Callable, "DagStateChangeCallback": collections.abc.Callable,
    "TaskPreExecuteHook": collections.abc.Callable, "TaskPostExecuteHook": collections.abc.Callable,
    "ArgNotSet": type(None),
}  # fmt: skip


class _Names(dict[str, Any]):
    """What an annotation may use: the names of its module, then those that many modules import for checkers only."""

    def __missing__(self, name: str) -> Any:
        return _KNOWN.get(name, getattr(builtins, name, _Unknown))


@lru_cache(maxsize=1024)
def targets_of(kind: type) -> Mapping[str, Target]:
    """By name, what the constructor of `kind` takes, and those of its bases."""
    found: dict[str, Target] = {}
    for each in kind.__mro__:
        fields = {field.name.lstrip("_"): field.type for field in vars(each).get("__attrs_attrs__", ())}
        constructor = vars(each).get("__init__")
        if constructor is None or each is object:
            continue
        function = inspect.unwrap(constructor)
        names = getattr(function, "__globals__", {}) | vars(inspect.getmodule(each) or types)
        for name, annotation in {**getattr(function, "__annotations__", {}), **fields}.items():
            if name != "return" and name not in found:
                found[name] = target_of(annotation, names)
    return found


def target_of(annotation: Any, names: Mapping[str, Any]) -> Target:
    """:param names: those of the module that contains the annotation"""
    if isinstance(annotation, str):
        known = _Names(names)
        if "datetime." in annotation and not isinstance(known["datetime"], types.ModuleType):
            known["datetime"] = dt
        try:
            annotation = eval(annotation, {"__builtins__": {}}, known)  # noqa: S307 - code that is imported anyway
        except Exception:
            return ANYTHING
    return _target(annotation, names)


def _target(annotation: Any, names: Mapping[str, Any]) -> Target:
    if isinstance(annotation, str | typing.ForwardRef):
        return target_of(getattr(annotation, "__forward_arg__", annotation), names)
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        found = _NOTHING
        for each in arguments:
            found |= _target(each, names)
        return found
    if origin is typing.Annotated:
        return _target(arguments[0], names)
    if origin is typing.Literal:
        texts = tuple(each for each in arguments if isinstance(each, str))
        return Target(texts=texts, anything=len(texts) < len(arguments))
    if origin is collections.abc.Callable:
        return Target(function=True)
    return _class(origin, arguments, names)


def _class(origin: Any, arguments: tuple[Any, ...], names: Mapping[str, Any]) -> Target:
    if origin in _LISTS:
        several = origin is tuple and len(set(arguments)) > 1 and Ellipsis not in arguments
        items = _target(arguments[0], names) if arguments and not several else ANYTHING
        loose = origin in _LOOSE and (items.anything or str in items.plain)
        plain: frozenset[type] = frozenset({str}) if loose else frozenset()
        return Target(makes=_LISTS[origin], items=items, plain=plain)
    if origin is None or not isinstance(origin, type):
        return _NOTHING if origin is None else ANYTHING
    if origin.__name__ in ("NoneType", "ArgNotSet"):
        return _NOTHING
    if origin in _PLAIN:
        # To Python an int is a float. (And a bool an int, which in a file is a slip.)
        return Target(plain=frozenset({origin, int} if origin is float else {origin}))
    if origin in _MOMENTS:
        return Target(moments=frozenset({origin}))
    if issubclass(origin, enum.Enum):
        return Target(enums=(origin,))
    if origin is pathlib.Path:
        return Target(path=True)
    if origin in (collections.abc.Mapping, collections.abc.MutableMapping) or issubclass(origin, dict):
        return Target(mapping=True, values=_target(arguments[1], names) if len(arguments) == 2 else ANYTHING)
    return ANYTHING
