"""What the rules of classification share: a match; an exception's type names, words and chain. No rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Match", "chain", "starts_with", "summary", "type_names"]

_LONGEST_SUMMARY = 4000
_LINKS = ("orig", "last_exception", "reason")
"""Attributes in which SQLAlchemy, boto3 and urllib keep the error they wrap."""
_LONGEST_CHAIN = 32


@dataclass(frozen=True)
class Match:
    """A code of the catalogue. `detail` None: the exception's own words will do."""

    code: str
    detail: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def type_names(error: BaseException) -> tuple[str, ...]:
    """`module.Class` of the error's type and of all it derives from, nearest first."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)


def starts_with(names: tuple[str, ...], *prefixes: str) -> bool:
    """Whether one of the types comes from a library: its names begin with one of `prefixes`."""
    return any(name.startswith(prefixes) for name in names)


def summary(error: BaseException) -> str:
    """Class and words of `error`, shortened."""
    try:
        words = str(error)
    except Exception:
        words = "(an error that cannot be shown)"
    name = type(error).__name__
    text = f"{name}: {words}" if words else name
    return text if len(text) <= _LONGEST_SUMMARY else text[:_LONGEST_SUMMARY] + " [...]"


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, then what it wraps, was raised from or was raised while handling, nearest first."""
    queue, seen = [error], {id(error)}
    while queue and len(seen) <= _LONGEST_CHAIN:
        link = queue.pop(0)
        yield link
        for further in _links(link):
            if id(further) not in seen:
                seen.add(id(further))
                queue.append(further)


def _links(error: BaseException) -> Iterator[BaseException]:
    for name in _LINKS:
        with contextlib.suppress(Exception):
            wrapped = getattr(error, name, None)
            if isinstance(wrapped, BaseException):
                yield wrapped
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
