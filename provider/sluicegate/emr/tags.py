"""The tags of a cluster: whom it works for and until when. All of ours are made and read here.

Pure: no Airflow, no AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sluicegate.emr.names import RunKey
from sluicegate.pipeline.check.cluster import TAG

__all__ = [
    "DEADLINE", "ENDED_BY", "GENERATION", "LONGEST_VALUE", "NOT_AFTER", "ORPHANED", "PLACEMENT", "RUN", "STEPS", "TAG",
    "Owner", "Unowned", "deadline", "decoded", "encoded", "own_tags", "owner",
]  # fmt: skip

RUN = f"{TAG}run"
"""The digest of the task instance."""

NOT_AFTER = f"{TAG}not-after"
"""When the cluster must be gone."""

ENDED_BY = f"{TAG}ended-by"
"""The tag put on a cluster before we terminate it, so that no try waits for it or blames it on an outsider."""

GENERATION = f"{TAG}generation"
"""In which life of the task it was started: a clear begins another, a retry does not."""

PLACEMENT = f"{TAG}placement"
"""Where it was started: 0 is the place that is tried first."""

DEADLINE = "deadline"
"""The value of `ENDED_BY` for a cluster that ran out of time."""

ORPHANED = "orphan"
"""The value of `ENDED_BY` for a cluster that no task seemed to need."""

STEPS = f"{TAG}steps"
"""How many steps it was asked for: any further ones were added by hand."""

LONGEST_VALUE = 256

_ESCAPED = re.compile(r"[^A-Za-z0-9_ .:/+@-]|^ | $")
_ESCAPE = re.compile(r"=([0-9A-F]{2})")


@dataclass(frozen=True)
class Owner:
    """Whom a cluster works for, by its tags, and until when."""

    key: RunKey
    pipeline: str
    attempt: int
    not_after: datetime | None = None


@dataclass(frozen=True)
class Unowned:
    """Why it is not certain for whom a cluster works. `foreign`: it is certain that it is not one of ours."""

    reason: str
    foreign: bool = False


def own_tags(
    key: RunKey,
    *,
    attempt: int,
    pipeline: str,
    cluster: str,
    not_after: datetime,
    generation: str = "",
    placement: int = 0,
    steps: int = 1,
) -> dict[str, str]:
    """Our tags of a cluster, ready for AWS. `pipeline` may differ from the DAG; `cluster` is a profile's name."""
    values = {
        "deployment": key.deployment,
        "pipeline": pipeline,
        "dag": key.dag_id,
        "step": key.task_id,
        "map-index": str(key.map_index),
        "run-id": key.run_id,
        "run": key.digest,
        "generation": generation,
        "attempt": str(attempt),
        "placement": str(placement),
        "steps": str(steps),
        "cluster": cluster,
        "not-after": not_after.isoformat(timespec="seconds"),
    }
    return {TAG + name: encoded(value) for name, value in values.items()}


def owner(name: str, tags: Mapping[str, str], deployment: str) -> Owner | Unowned:
    """Whom the cluster `name` works for, if it is certain that it is of `deployment`.

    What the tags say counts only if the digest of it is in the tags and in the name: values that AWS has cut, or that
    somebody has changed, identify nothing.
    """
    if RUN not in tags:
        return Unowned("it has no tags of Sluicegate", foreign=True)
    if (theirs := decoded(tags.get(f"{TAG}deployment", ""))) != deployment:
        return Unowned(f"it is of the deployment {theirs!r}", foreign=True)
    try:
        key = RunKey(
            deployment=deployment,
            dag_id=decoded(tags[f"{TAG}dag"]),
            run_id=decoded(tags[f"{TAG}run-id"]),
            task_id=decoded(tags[f"{TAG}step"]),
            map_index=int(tags[f"{TAG}map-index"]),
        )
        ends = datetime.fromisoformat(decoded(tags[NOT_AFTER])) if NOT_AFTER in tags else None
    except (KeyError, ValueError) as broken:
        return Unowned(f"its tags cannot be read: {broken}")
    attempt = key.attempt(name)
    if tags[RUN] != key.digest or attempt is None:
        return Unowned("its name and its tags do not say the same task")
    if ends is not None and ends.tzinfo is None:
        return Unowned(f"its tag {NOT_AFTER} has no time zone")
    return Owner(key, decoded(tags.get(f"{TAG}pipeline", "")) or key.dag_id, attempt, ends)


def deadline(tags: Mapping[str, str]) -> datetime | None:
    """When a cluster must be gone, by its tag; None without it, and where a person has made no moment of it."""
    try:
        ends = datetime.fromisoformat(decoded(tags.get(NOT_AFTER, "")))
    except ValueError:
        return None
    return ends if ends.tzinfo else None


def encoded(value: str) -> str:
    """`value` as an AWS tag may hold it: anything else, and `=` itself, as `=XX` for each byte; cut to 256."""
    return _ESCAPED.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), value)[:LONGEST_VALUE]


def decoded(value: str) -> str:
    """The value that `encoded` was given; of one that was cut, its beginning."""
    return _bytes(value).decode(errors="replace")


def _bytes(value: str) -> bytes:
    parts = _ESCAPE.split(value)
    return b"".join(bytes.fromhex(part) if at % 2 else part.encode() for at, part in enumerate(parts))
