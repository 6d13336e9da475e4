"""What a step that has failed has written, and what it has not: in sentences, from its kind and its fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluicegate.faults import FaultError

__all__ = ["what_was_written"]

_UNCERTAIN = frozenset({"WORKER_LOST", "TIMED_OUT", "NETWORK", "WAREHOUSE_UNREACHABLE", "WAREHOUSE_BUSY", "UNKNOWN"})
"""The faults after which a commit may have happened all the same."""
_BY_KIND = {
    "FetchOperator": "The folder may have parts of this run; without their `_SUCCESS` nothing reads them.",
    "SparkOperator": "The jobs may have written parts; without their `_SUCCESS` nothing reads them.",
    "TransformOperator": "A file is written whole or not at all; of a folder, parts may be there.",
    "FilesOperator": "Nothing: it lists files.",
    "SourceSensor": "Nothing: it waits.",
    "UpstreamSensor": "Nothing: it waits.",
}
_OTHER = "Not known: what the step's own code did before it failed stays as it is."
_MOST = 5


def what_was_written(kind: str, error: FaultError, into: str = "", after: Sequence[str] = ()) -> tuple[str, ...]:
    """A sentence or more.

    :param kind: the operator's class
    :param into: the target of a load
    :param after: the steps that come after it, and have not run
    """
    first = _of_load(error, into) if kind == "LoadOperator" else _BY_KIND.get(kind, _OTHER)
    if not after:
        return (first,)
    names = ", ".join(list(after)[:_MOST])
    rest = f" and {len(after) - _MOST} more" if len(after) > _MOST else ""
    return (first, f"Not run: {names}{rest}.")


def _of_load(error: FaultError, into: str) -> str:
    report = error.facts.get("report")
    facts: Mapping[str, Any] = report if isinstance(report, Mapping) else {}
    target = facts.get("target") or into or "its target"
    if not facts and error.code in _UNCERTAIN:
        return f"All of this load is in {target}, or nothing: it is one transaction, and running it again is safe."
    dead = facts.get("dead")
    letters = f" {dead:,} records are kept as dead letters." if isinstance(dead, int) and dead else ""
    return f"Nothing of this run came into {target}.{letters}"
