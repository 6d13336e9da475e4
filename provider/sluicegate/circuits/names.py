"""Which circuits a step needs, and which of them a fault is about. Imports no Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from sluicegate.faults.errors import FaultError

__all__ = ["circuits_of", "concerned", "may_be_of_several", "places_in"]

_PLACE = re.compile(r"(table|iceberg|s3|gs|https?)://(?:[^/\s@]*@)?([^/\s?#]+)")
_MOST = 200
"""So many texts of a task's fields are looked at."""

_OF_AWS = frozenset({"AWS_THROTTLED", "AWS_UNAVAILABLE"})
_OF_SERVERS = frozenset({"SOURCE_UNAVAILABLE", "NETWORK", "TIMED_OUT"})
_NO_MORE_SESSIONS = "53"
"""The class of SQLSTATEs by which a server says that it has no resources left; a lock is one table's affair."""


def circuits_of(fields: Mapping[str, object], values: Iterable[object], *, needs_aws: bool = False) -> tuple[str, ...]:
    """`connection:warehouse`, `host:api.example.com`, `aws:aws_default`, in alphabetical order.

    :param fields: attributes of the task by name: those that end in `conn_id` name connections
    :param values: what its template fields are, once they are rendered
    :param needs_aws: whether it calls AWS also where no value is in S3
    """
    texts = {name: each for name, each in fields.items() if isinstance(each, str)}
    connections = {name: each for name, each in texts.items() if name.endswith("conn_id")}
    aws = connections.pop("aws_conn_id", "aws_default")
    found = {f"connection:{each}" for each in connections.values() if each}
    if needs_aws:
        found.add(f"aws:{aws}")
    for scheme, place in places_in(values):
        match scheme:
            case "table" | "iceberg":
                found.add(f"connection:{place}")
            case "s3":
                found.add(f"aws:{aws}")
            case "http" | "https":
                found.add(f"host:{place.lower()}")
    return tuple(sorted(found))


def places_in(values: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Scheme and host, or connection, of each URI; of texts that merely contain one nothing is known."""
    for text in islice(_texts(list(values)), _MOST):
        if found := _PLACE.match(text):
            yield found[1], found[2]


def concerned(names: Iterable[str], error: FaultError, *, foreign: bool = False) -> tuple[str, ...]:
    """The circuits of a step that such a fault counts for; none where it is not known which of several it is about.

    :param foreign: of an operator that is not ours: a connection that it names may be any server. Of a step of ours
        that is a database, whose faults have codes of their own: code that writes a table may ask any server besides.
    """
    if error.code in _OF_AWS:
        return _only(names, "aws:")
    if may_be_of_several(error):
        return _only(names, "connection:")
    if error.code in _OF_SERVERS:
        for _, host in places_in([error.facts.get("uri")]):
            return tuple(name for name in names if name == f"host:{host.lower()}")
        servers = ("host:", "connection:") if foreign else ("host:",)
        return _only(names, *servers) if error.code != "TIMED_OUT" else ()
    return ()


def may_be_of_several(error: FaultError) -> bool:
    """Whether it is about a database as a whole: which one has to be found out where a step needs several."""
    busy = error.code == "WAREHOUSE_BUSY" and str(error.facts.get("sqlstate", "")).startswith(_NO_MORE_SESSIONS)
    return busy or error.code == "WAREHOUSE_UNREACHABLE"


def _only(names: Iterable[str], *prefixes: str) -> tuple[str, ...]:
    found = tuple(name for name in names if name.startswith(prefixes))
    return found if len(found) == 1 else ()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
