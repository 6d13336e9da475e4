"""A request, validated against botocore's model of EMR: what AWS would refuse by its form alone.

Import it in a command or where a task runs, never where a DAG is parsed. The service itself is not reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sluicegate.faults import fault

__all__ = ["Misfit", "misfits", "require_fit"]


class Misfit(NamedTuple):
    """`path` leads to the value in the request; `key`: it is the key there that is wrong."""

    path: tuple[str | int, ...]
    message: str
    key: bool = False


def require_fit(request: Mapping[str, Any]) -> None:
    """:raises FatalFault: WRONG_USE with the first of `misfits`."""
    if (wrong := next(misfits(request), None)) is not None:
        place = ".".join(map(str, wrong.path))
        raise fault("WRONG_USE", f"RunJobFlow, {place}: {wrong.message}", key=place)


def misfits(request: Mapping[str, Any]) -> Iterator[Misfit]:
    """What of the arguments of RunJobFlow does not fit: names, types, missing members, enumerations and lengths."""
    yield from _within(request, _shape(), ())


@cache
def _shape() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape


def _within(value: Any, shape: Any, at: tuple[str | int, ...]) -> Iterator[Misfit]:
    match shape.type_name:
        case "structure":
            yield from _structure(value, shape, at)
        case "list":
            if not isinstance(value, Sequence) or isinstance(value, str):
                yield Misfit(at, f"expected a list, not {value!r}")
                return
            for index, item in enumerate(value):
                yield from _within(item, shape.member, (*at, index))
        case "map":
            if not isinstance(value, Mapping):
                yield Misfit(at, f"expected keys and values, not {value!r}")
                return
            for key, item in value.items():
                yield from _within(item, shape.value, (*at, key))
        case _:
            yield from _scalar(value, shape, at)


def _structure(value: Any, shape: Any, at: tuple[str | int, ...]) -> Iterator[Misfit]:
    if not isinstance(value, Mapping):
        yield Misfit(at, f"expected keys and values, not {value!r}")
        return
    for name in shape.required_members:
        if name not in value:
            yield Misfit(at, f"{name} is missing", key=True)
    for name, item in value.items():
        if name not in shape.members:
            yield Misfit((*at, name), f"EMR has no {name} here{_meant(name, shape.members)}", key=True)
        else:
            yield from _within(item, shape.members[name], (*at, name))


def _meant(name: str, members: Mapping[str, Any]) -> str:
    from sluicegate.pipeline.diagnostics import did_you_mean

    meant = did_you_mean(name, members)
    return f": did you mean {meant}?" if meant else f": it takes {', '.join(members)}"


_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "text (in quotes where it looks like a number)"),
    "boolean": ((bool,), "true or false"),
    "integer": ((int,), "a whole number"),
    "long": ((int,), "a whole number"),
    "double": ((int, float), "a number"),
    "float": ((int, float), "a number"),
}


def _scalar(value: Any, shape: Any, at: tuple[str | int, ...]) -> Iterator[Misfit]:
    types, words = _TYPES[shape.type_name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        yield Misfit(at, f"expected {words}, not {value!r}")
        return
    options, limits = shape.metadata.get("enum"), shape.metadata
    if options and value not in options:
        yield Misfit(at, f"expected one of {', '.join(options)}, not {value!r}")
    size, what = (len(value), "characters") if isinstance(value, str) else (value, "")
    if "max" in limits and size > limits["max"]:
        yield Misfit(at, f"at most {limits['max']} {what}".strip() + f", not {size}")
    if "min" in limits and size < limits["min"]:
        yield Misfit(at, f"at least {limits['min']} {what}".strip() + f", not {size}")
