"""EMR's API as botocore's service model has it: is a value of a shape what AWS would take, or send?

botocore's client looks at types and required members only. AWS also holds lengths, patterns and words to the model,
and says what is wrong as its services do ("1 validation error detected: Value ... at ... failed to satisfy ...").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}
# Java counts in UTF-16: its pattern for "all but control characters" names the halves of what lies beyond 16 bits.
_HALVES = r"\uD800\uDC00-\uDBFF\uDFFF"
_SHOWN = 80


class ShapeTypeError(Exception):
    """A value of another type than its shape: AWS cannot even read it."""


@cache
def operations() -> dict[str, Any]:
    """EMR's operations by name, as botocore's `OperationModel`."""
    import botocore.session

    service = botocore.session.get_session().get_service_model("emr")
    return {name: service.operation_model(name) for name in service.operation_names}


def refusal(shape: Any, value: object) -> str | None:
    """What AWS says of a request that does not fit its shape; None if it fits.

    :raises ShapeTypeError: a value has another type
    """
    found = list(violations(shape, value))
    if not found:
        return None
    return f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}"


def violations(shape: Any, value: object, at: str = "", strict: bool = False) -> Iterator[str]:
    """Everything in which a value leaves its shape; with `strict` members that the shape has not, too.

    :raises ShapeTypeError: a value has another type
    """
    kind = shape.type_name
    fits = isinstance(value, _TYPES.get(kind, (object,))) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        raise ShapeTypeError(f"{at or 'request'}: {type(value).__name__} found where {kind} was expected")
    yield from _of_itself(shape, value, at)
    if isinstance(value, dict) and kind == "structure":
        yield from _of_members(shape, value, at, strict)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from violations(shape.value, item, f"{at}.{key}.member", strict)
    elif isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield from violations(shape.member, item, f"{at}.{number}.member", strict)


def _of_members(shape: Any, value: dict[str, object], at: str, strict: bool) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_path(at, name)}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name not in shape.members:
            if strict:
                yield f"{shape.name} has no member {name}"
        elif item is not None:
            yield from violations(shape.members[name], item, _path(at, name), strict)


def _of_itself(shape: Any, value: object, at: str) -> Iterator[str]:
    for constraint in _broken(shape, value):
        shown = value if isinstance(value, (int, float)) else f"{str(value)[:_SHOWN]}"
        yield f"Value '{shown}' at '{at}' failed to satisfy constraint: Member must {constraint}"


def _broken(shape: Any, value: object) -> Iterator[str]:
    limits = shape.metadata
    size, what = (value, "value") if isinstance(value, (int, float)) else (_size(value), "length")
    if limits.get("min") is not None and size < limits["min"]:
        yield f"have {what} greater than or equal to {limits['min']}"
    if limits.get("max") is not None and size > limits["max"]:
        yield f"have {what} less than or equal to {limits['max']}"
    if isinstance(value, str):
        if limits.get("enum") and value not in limits["enum"]:
            yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"
        if limits.get("pattern") and not _pattern(limits["pattern"]).fullmatch(value):
            yield f"satisfy regular expression pattern: {limits['pattern']}"


def _size(value: object) -> int:
    return len(value) if isinstance(value, (str, list, dict)) else 0


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(_HALVES, r"\U00010000-\U0010FFFF"))


def _path(at: str, name: str) -> str:
    """A member's place as AWS writes it: `instances.instanceGroups.1.member.instanceRole`."""
    said = name[0].lower() + name[1:]
    return f"{at}.{said}" if at else said
