"""A live cluster as a row for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sluicegate.emr.orphans import Judged
from sluicegate.pipeline.text.quantities import format_duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["plain", "print_table"]

_HEADS = ("cluster", "pipeline", "step", "run", "state", "age", "until", "task", "is", "because")


def plain(each: Judged) -> dict[str, object]:
    """For JSON. What is not known of a cluster that is not ours is null."""
    cluster, owner = each.cluster, each.owner
    return {
        "cluster_id": cluster.cluster_id,
        "name": cluster.name,
        "state": cluster.state,
        "created": cluster.created.astimezone(UTC).isoformat(),
        "pipeline": owner.pipeline if owner else None,
        "dag_id": owner.key.dag_id if owner else None,
        "run_id": owner.key.run_id if owner else None,
        "step": owner.key.task_id if owner else None,
        "map_index": owner.key.map_index if owner else None,
        "attempt": owner.attempt if owner else None,
        "not_after": owner.not_after.astimezone(UTC).isoformat() if owner and owner.not_after else None,
        "task": str(each.task) if each.task else None,
        "kind": str(each.kind),
        "reason": each.reason,
    }


def print_table(out: Console, found: Sequence[Judged], now: datetime) -> None:
    """Columns that are as wide as what is in them; on a terminal they may be wrapped."""
    rows = [_HEADS, *(tuple(_cells(each, now)) for each in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for row in rows:
        out.print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(each: Judged, now: datetime) -> Iterator[str]:
    cluster, owner = each.cluster, each.owner
    step = "" if owner is None else owner.key.task_id
    if owner is not None and owner.key.map_index >= 0:
        step += f"[{owner.key.map_index}]"
    yield cluster.cluster_id
    yield owner.pipeline if owner else cluster.name
    yield step
    yield owner.key.run_id if owner else ""
    yield cluster.state
    yield format_duration(timedelta(seconds=max(0, round((now - cluster.created).total_seconds()))))
    yield f"{owner.not_after.astimezone(UTC):%Y-%m-%d %H:%M}" if owner and owner.not_after else ""
    yield str(each.task) if each.task else ""
    yield str(each.kind)
    yield each.reason
