"""How a value could be made again: its class and the arguments that differ from the class's own defaults."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import attrs
from airflow.sdk import Asset, Param
from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.definitions._internal.types import NOTSET
from airflow.sdk.definitions.callback import Callback
from pydantic import BaseModel

__all__ = ["Parts", "home_of", "parts_of"]


@dataclass(frozen=True)
class Parts:
    """`positional` are those without a default, which go by their place; the names are in order."""

    kind: type
    positional: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Any] = field(default_factory=dict)


def parts_of(value: Any) -> Parts | None:
    """None for a value whose constructor does not say what of it to ask for."""
    kind = type(value)
    if isinstance(value, Param):
        return _param(value)
    if isinstance(value, Asset) and value.uri == value.name:
        further = {"extra": value.extra, "watchers": value.watchers}
        if value.group != value.asset_type:
            further["group"] = value.group
        return Parts(kind, {"name": value.name}, {name: each for name, each in further.items() if each})
    if isinstance(value, Callback):
        return Parts(kind, {"callback_callable": value.path}, {"kwargs": value.kwargs} if value.kwargs else {})
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        given = {name: getattr(value, name) for name in fields}
        said = {name: each for name, each in given.items() if not _is_default(fields[name], each, given)}
        return Parts(kind, {}, said)
    names = [name for name, parameter in _parameters(kind).items() if parameter.kind in _NAMED]
    found = {}
    for name in names:
        for attribute in (name, f"_{name}"):
            if hasattr(value, attribute):
                found[name] = _plain_zone(value, getattr(value, attribute))
                break
        else:
            if _parameters(kind)[name].default is inspect.Parameter.empty:
                return None
    return _of(kind, found)


def _plain_zone(owner: Any, value: Any) -> Any:
    """Airflow's timetables take a time zone's name as well as an object, and keep the object."""
    return str(value) if isinstance(owner, BaseTimetable) and isinstance(value, tzinfo) else value


_FACTORY: Any = type(attrs.Factory(list))
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return {}


def _of(kind: type, values: Mapping[str, Any]) -> Parts:
    """Values without a default by their place, the others by name."""
    positional = {}
    named = {}
    for name, parameter in _parameters(kind).items():
        if name not in values:
            continue
        if parameter.default is inspect.Parameter.empty and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            positional[name] = values[name]
        elif not _same(values[name], _default(kind, name, parameter)):
            named[name] = values[name]
    return Parts(kind, positional, named)


def _same(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, type(default)) and bool(value == default))


def _default(kind: type, name: str, parameter: inspect.Parameter) -> Any:
    """The default, also of a field that makes it anew each time."""
    if dataclasses.is_dataclass(kind):
        factory = {each.name: each.default_factory for each in dataclasses.fields(kind)}.get(name)
        if factory is not None and factory is not dataclasses.MISSING:
            return factory()
    if attrs.has(kind):
        default = {each.alias or each.name: each.default for each in attrs.fields(kind)}.get(name)
        if isinstance(default, _FACTORY) and not default.takes_self:
            return default.factory()
    return parameter.default


def _is_default(field_: Any, value: Any, given: Mapping[str, Any]) -> bool:
    if field_.is_required():
        return False
    # Some defaults follow from other fields.
    return bool(field_.get_default(call_default_factory=True, validated_data=given) == value)


def _param(value: Param) -> Parts:
    """JSON Schema's words as arguments, where they can be."""
    positional = {} if value.value is NOTSET else {"default": value.value}
    named = {} if value.description is None else {"description": value.description}
    clash = {"default", "description", "source", "schema"} & value.schema.keys()
    plain = not clash and all(word.isidentifier() for word in value.schema)
    return Parts(Param, positional, named | (dict(value.schema) if plain else {"schema": dict(value.schema)}))


def home_of(thing: Any) -> tuple[str, str]:
    """The module to import a class or a function from, and its name there: the public one where there is one.

    :raises ValueError: for what is defined inside a function
    """
    module, name = thing.__module__, thing.__qualname__
    if "<" in name:
        raise ValueError(f"{module}.{name} is defined inside a function")
    for public in _public(module):
        if getattr(sys.modules.get(public), name, None) is thing:
            return public, name
    return module, name


def _public(module: str) -> list[str]:
    """Packages that may offer what `module` defines."""
    if module.startswith("airflow.sdk."):
        return ["airflow.sdk"]
    parts = module.split(".")
    return [".".join(parts[:2])] if parts[0] == "sluicegate" and len(parts) > 2 else []
