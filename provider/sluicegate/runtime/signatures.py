"""What constructors take by name: read off their signatures, never listed here. Imports no Airflow."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["arguments_of", "missing_arguments", "takes_any"]

_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def arguments_of(kind: type) -> frozenset[str]:
    """The names that the constructor of `kind` takes itself or hands on to its bases."""
    return _arguments_of(kind)[0]


def takes_any(kind: type) -> bool:
    """Whether the constructor of `kind` takes names that its signature and those of its bases do not show."""
    return _arguments_of(kind)[1]


@lru_cache(maxsize=1024)
def _arguments_of(kind: type) -> tuple[frozenset[str], bool]:
    names: set[str] = set()
    for parameters in _signatures(kind):
        names |= {parameter.name for parameter in parameters if parameter.kind in _NAMED}
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return frozenset(names), False
    return frozenset(names), True


def missing_arguments(kind: type, given: Mapping[str, Any]) -> list[str]:
    """Those without a default in its own constructor. (What its bases need, it may give itself.)"""
    return [name for name in _required(kind) if name not in given]


@lru_cache(maxsize=1024)
def _required(kind: type) -> tuple[str, ...]:
    own = next(_signatures(kind), ())
    return tuple(
        parameter.name for parameter in own if parameter.kind in _NAMED and parameter.default is inspect.Parameter.empty
    )


def _signatures(kind: type) -> Iterator[Sequence[inspect.Parameter]]:
    """The parameters of each constructor that a call passes through, the class's own first."""
    for each in kind.__mro__:
        if "__init__" in vars(each) and each is not object:
            try:
                yield list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]
            except ValueError:  # compiled, and says nothing of itself
                return
