"""Pydantic's errors as diagnostics with places, in the words of the pipeline file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of

if TYPE_CHECKING:
    from sluicegate.pipeline.text.source import Report

__all__ = ["invalid_name", "known_keys", "leaves", "mapping", "text", "texts", "validate", "validate_part"]

Built = TypeVar("Built", bound=BaseModel)
Expected = str | type[BaseModel]
"""All that may be at a place: in words, or a model, whose short form may be there as well."""

LONGEST = 115
"""Characters of a name: the task that waits for a step, `wait_for__<pipeline>__<step>`, may have 250."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
_EXPECTED = {
    "bool_type": "true or false",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def validate(model: type[Built], value: object, where: Where, report: Report) -> Built | None:
    """`model` made of `value`, or None with the diagnostics noted at their places below `where`."""
    try:
        return model.model_validate(value, by_name=False)
    except ValidationError as error:
        found: dict[Where, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            if detail["type"] != "default_factory_not_called":  # it needs what is wrong
                found.setdefault(_written(detail["loc"], value), []).append(detail)
        for written, details in found.items():
            if not _note_short(model, details[0], written, where + written, report):
                # One value is wrong in several ways where several types are allowed.
                kinds = dict.fromkeys(_EXPECTED[detail["type"]] for detail in details if detail["type"] in _EXPECTED)
                _note(model, details[0], " or ".join(kinds), where + written, report)
        return None


def validate_part(model: type[Built], value: Mapping[str, Any], where: Where, report: Report) -> Built | None:
    """As `validate`, but with errors, made of what is right in `value`, if that is enough."""
    if (built := validate(model, value, where, report)) is not None:
        return built
    try:
        model.model_validate(value, by_name=False)
    except ValidationError as error:
        wrong = [_written(detail["loc"], value) for detail in error.errors(include_url=False)]
        for depth in (None, 1):
            right = value
            for place in wrong:
                right = _without(right, place[:depth])
            try:
                return model.model_validate(right, by_name=False)
            except ValidationError:
                continue
    return None


def _without(value: Mapping[str, Any], place: Where) -> Mapping[str, Any]:
    """`value` without what is at `place`, or without the list around it."""
    if not place or place[0] not in value:
        return value
    key, item = str(place[0]), value[str(place[0])]
    if len(place) > 1 and isinstance(item, Mapping):
        return {**value, key: _without(item, place[1:])}
    return {name: each for name, each in value.items() if name != key}


def known_keys(
    value: Mapping[str, Any],
    allowed: Collection[str],
    where: Where,
    report: Report,
    what: str,
    near: Collection[str] = (),
) -> dict[str, Any]:
    """`value` without the keys that are not `allowed`, each of which is an error.

    :param near: keys that exist elsewhere, so that one which is nearer to them is not taken for an allowed one
    """
    for key in value:
        if key not in allowed:
            meant = did_you_mean(key, near or allowed)
            meant = meant if meant in allowed else None
            report.error((*where, key), "unknown-key", f"{what} has no key `{key}`", key=True, suggestion=meant)
    return {key: item for key, item in value.items() if key in allowed}


def mapping(value: object, where: Where, report: Report, expected: Expected = "keys and values") -> dict[str, Any]:
    """`value` when it is a mapping; nothing at all is an empty one, everything else an error.

    :param expected: all that may be there; of a model, in its short form too
    """
    if isinstance(value, dict):
        return value
    if value is not None:
        report.error(where, "type", f"expected {_allowed(expected)}, not {shown(value)}")
    return {}


def text(value: object, where: Where, report: Report, expected: Expected = "text") -> str | None:
    """`value` when it is text that says something, else None and a diagnostic.

    :param expected: all that may be there; of a model, in its short form too
    """
    if isinstance(value, str) and value.strip():
        return value
    report.error(where, "type", f"expected {_allowed(expected)}, not {shown(value)}")
    return None


def texts(value: object, where: Where, report: Report, one: str = "text") -> tuple[str, ...]:
    """A text or a list of texts, as a tuple.

    :param one: what a single text is called
    """
    if isinstance(value, list):
        found = [text(item, (*where, index), report, one) for index, item in enumerate(value)]
        return tuple(item for item in found if item is not None)
    only = text(value, where, report, f"{one} or a list of them")
    return () if only is None else (only,)


def leaves(value: object, where: Where) -> list[tuple[str, Where]]:
    """All texts inside a value that came from YAML, with their places."""
    if isinstance(value, str):
        return [(value, where)]
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [leaf for key, item in items for leaf in leaves(item, (*where, key))]


def invalid_name(name: str) -> str | None:
    """Why `name` cannot name a step, a dataset, a binding, a param or a pipeline."""
    if len(name) > LONGEST:
        return f"`{name[:20]}…` has {len(name)} characters: a name has {LONGEST} at most"
    if NAME.fullmatch(name):
        return None
    return f"`{name}` is not a name: expected lower case letters, digits and `_`, a letter first"


def shown(value: object) -> str:
    """A value in a message: short, and as YAML rather than Python says it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."


def _written(loc: tuple[int | str, ...], value: object) -> Where:
    """As much of a pydantic location as is in `value`; it also names union members and long forms."""
    way: list[str | int] = []
    for part in loc:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, Mapping) and part == 0:
            continue  # one that is written without the list
        else:
            # A key that is missing is reported at its parent; `_note` names it.
            break
        way.append(part)
    return tuple(way)


def _note_short(model: type[BaseModel], detail: ErrorDetails, written: Where, where: Where, report: Report) -> bool:
    """Note a value that is neither a short form nor keys and values, if it is one."""
    long, given = _model_at(model, written), detail["input"]
    alone = len(written) < len(detail["loc"]) and detail["loc"][len(written)] == getattr(long, "_short", None)
    wrong_type = detail["type"] in _EXPECTED or (detail["type"] == "literal_error" and not isinstance(given, str))
    if not alone or not wrong_type:
        return False
    report.error(where, "type", f"expected {_allowed(long)}, not {shown(given)}")
    return True


def _allowed(expected: Expected) -> str:
    """In words; those of a model are the reference's."""
    if isinstance(expected, str):
        return expected
    from sluicegate.pipeline.keys.table import shape_of

    return re.sub(r"\[(.*?)\]\(.*?\)", r"\1", shape_of(expected).words).replace("`", "")


def _note(model: type[BaseModel], detail: ErrorDetails, expected: str, where: Where, report: Report) -> None:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    last = str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "extra_forbidden":
        inside = _model_at(model, detail["loc"][:-1])
        title = (inside.__doc__ or "").partition(":")[0]
        what = f"`{title}`" if title.islower() else title[:1].lower() + title[1:]
        meant = did_you_mean(last, keys_of(inside))
        report.error(where, "unknown-key", f"{what} has no key `{last}`", key=True, suggestion=meant)
    elif kind == "missing" and last.isdigit():
        report.error(where, "value", f"expected more than {last} value{'' if last == '1' else 's'} here")
    elif kind == "missing":
        report.error(where, "missing-key", f"`{last}` is missing", key=True)
    elif kind in ("enum", "literal_error"):
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        message = f"expected one of {', '.join(options)}, not {shown(given)}"
        report.error(where, "value", message, suggestion=did_you_mean(given, options))
    elif kind in _EXPECTED:
        meant = BOOLEANS.get(str(given).lower()) if kind == "bool_type" else None
        report.error(where, "type", f"expected {expected}, not {shown(given)}", suggestion=meant)
    elif kind == "value_error":
        report.error(where, "value", str(context.get("error", detail["msg"])))
    else:
        words = detail["msg"].removeprefix("Input ")
        report.error(where, "value", f"{shown(given)} {words[:1].lower()}{words[1:]}")


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that the field at `loc` below `model` holds."""
    for part in loc:
        for name, field in model.model_fields.items():
            if part not in (name, field.alias):
                continue
            inner = _models_in(field.annotation)
            model = inner[0] if inner else model
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
