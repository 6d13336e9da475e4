"""What the sample runs did, as values: loads from the tasks' own reports, dead letters and clusters as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluicegate.api.answers import DagRun

__all__ = [
    "COUNTS",
    "ClusterLife",
    "DeadLetterCount",
    "DemoReport",
    "Load",
    "cluster_lives",
    "dead_letters",
    "load_of",
]

COUNTS = ("inserted", "updated", "unchanged", "stale", "deduplicated", "dead", "rejected")


@dataclass(frozen=True)
class Load:
    """One load of one run. `window` is the ISO start. The counts of a `skipped` load (a ledger hit) are zero."""

    pipeline: str
    step: str
    window: str
    status: str
    read: int
    inserted: int
    updated: int
    unchanged: int
    stale: int
    deduplicated: int
    dead: int
    rejected: int

    @property
    def counts(self) -> tuple[int, ...]:
        """`read`, then the seven that it is the sum of, in the order of `COUNTS`."""
        return (self.read, *(getattr(self, name) for name in COUNTS))


@dataclass(frozen=True)
class DeadLetterCount:
    pipeline: str
    rule: str
    count: int


@dataclass(frozen=True)
class ClusterLife:
    """`seconds` from the request to the end, or to now while it lives."""

    name: str
    state: str
    seconds: float

    @property
    def live(self) -> bool:
        return not self.state.startswith("TERMINATED")


@dataclass(frozen=True)
class DemoReport:
    loads: tuple[Load, ...]
    dead_letters: tuple[DeadLetterCount, ...]
    clusters: tuple[ClusterLife, ...]
    warehouse: str
    seconds: float

    def write(self, file: Path) -> None:
        """As JSON, whole or not at all."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        temporary = file.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)


def load_of(run: DagRun, step: str, result: Mapping[str, Any]) -> Load:
    """The load that a task's return value reports.

    A ledger hit reports the counts of the load that it found; this run did nothing, so these are zeros.
    """
    status = str(result["status"])
    counts = {name: 0 if status == "skipped" else int(result[name]) for name in ("read", *COUNTS)}
    return Load(pipeline=run.dag_id, step=step, window=run.start.isoformat(), status=status, **counts)


_DEAD_LETTERS = """
    SELECT d.pipeline, f ->> 'rule', count(*)
    FROM sluicegate.dead_letters d CROSS JOIN LATERAL jsonb_array_elements(d.failures) f
    WHERE d.status = 'open' AND d.pipeline = ANY(%s)
    GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


def dead_letters(warehouse_dsn: str, pipelines: Iterable[str]) -> tuple[DeadLetterCount, ...]:
    """The open dead letters by pipeline and rule, most frequent first; a record counts under each of its rules."""
    import psycopg

    with psycopg.connect(warehouse_dsn) as connection:
        exists = connection.execute("SELECT to_regclass('sluicegate.dead_letters')").fetchone()
        if exists is None or exists[0] is None:
            return ()
        rows = connection.execute(_DEAD_LETTERS, [list(pipelines)]).fetchall()
    return tuple(DeadLetterCount(*row) for row in rows)


def cluster_lives(emr: Any, since: datetime) -> tuple[ClusterLife, ...]:
    """Every cluster made at or after `since`, oldest first. `emr` is a boto3 client."""
    pages = emr.get_paginator("list_clusters").paginate(CreatedAfter=since)
    lives = []
    for entry in (cluster for page in pages for cluster in page["Clusters"]):
        timeline = entry["Status"]["Timeline"]
        made = timeline["CreationDateTime"]
        ended = timeline.get("EndDateTime") or datetime.now(UTC)
        lives.append(
            (
                made,
                ClusterLife(entry["Name"], entry["Status"]["State"], round((ended - made).total_seconds(), 1)),
            )
        )
    return tuple(life for _, life in sorted(lives, key=lambda pair: pair[0]))
