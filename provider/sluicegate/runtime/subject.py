"""What the fault of a step is about: the upstream it waited for, or the dataset that it read. Imports no Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluicegate.faults.errors import FaultError
from sluicegate.graph.location import Location

__all__ = ["Place", "places", "subject_of"]

# Faults of these codes lie in what was read.
_OF_SOURCES = frozenset(
    {"SOURCE_MISSING", "SOURCE_UNFINISHED", "SOURCE_UNREADABLE", "SOURCE_CHANGED", "SOURCE_DENIED"}
    | {"SOURCE_UNAVAILABLE", "SOURCE_REJECTED", "TOO_MANY_DEAD_LETTERS", "CHECK_FAILED", "SCHEMA_MISMATCH"}
)
_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Place:
    """What a step reads, as its file says it: a dataset or, where it has no name, the URI's template."""

    dataset: str
    binding: str = ""
    connection: str | None = None
    """The Airflow connection that the dataset itself names."""

    def uris(self, rendered: object) -> tuple[str, ...]:
        """Where it is, from the template field after it was rendered."""
        value = rendered.get(self.binding) if isinstance(rendered, Mapping) else rendered
        return (value,) if isinstance(value, str) else tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def places(field: object) -> Iterator[Place]:
    """What a template field says before it is rendered; nothing where it has several places without names."""
    for binding, value in field.items() if isinstance(field, Mapping) else [("", field)]:
        if isinstance(value, Location):
            yield Place(value.dataset, binding, value.connection)
        elif isinstance(value, str):
            yield Place(value, binding)


def subject_of(error: FaultError, pipeline: str, reads: Mapping[Place, tuple[str, ...]]) -> str:
    """`flights.raw`, or nothing where it is not known.

    :param reads: where each place is in this run, as far as that is known
    """
    if (upstream := error.facts.get("upstream")) is not None:
        return str(upstream)
    if error.code not in _OF_SOURCES:
        return ""
    uri = str(error.facts.get("uri", "\0"))
    found = [place for place, uris in reads.items() if any(uri.startswith(each) for each in uris)]
    [only] = found if len(found) == 1 else list(reads) if len(reads) == 1 else [None]
    if only is None:
        return ""
    return f"{pipeline}.{only.dataset}" if _NAME.fullmatch(only.dataset) else only.dataset
