"""Whether the pools that are to cap the clusters of pipelines do so in an Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sluicegate.api.client import Client
from sluicegate.api.errors import Refused
from sluicegate.api.pools import Pool, find_pool

__all__ = ["pool_warnings", "pools_of"]

_FORBIDDEN = 403


def pools_of(dags: Path) -> list[str]:
    """The pools that the clusters of the pipelines below `dags` name."""
    from sluicegate.pipeline import read_tree
    from sluicegate.pipeline.keys.model import SparkStep

    steps = [step for pipeline in read_tree(dags).readable.values() for step in pipeline.steps.values()]
    return sorted({s.cluster.pool for s in steps if isinstance(s, SparkStep) and s.cluster.pool is not None})


def pool_warnings(client: Client, names: Iterable[str]) -> Iterator[str]:
    """What keeps each of these pools from being a cap on live clusters."""
    for name in names:
        try:
            pool = find_pool(client, name)
        except Refused as refusal:
            if refusal.status != _FORBIDDEN:
                raise
            continue
        if trouble := _trouble(pool):
            remedy = f'airflow pools set {name} 20 "Live clusters at most" --include-deferred'
            yield f"The pool {name} {trouble}: {remedy}"


def _trouble(pool: Pool | None) -> str:
    if pool is None:
        return "does not exist, and Airflow starts no step that is in it"
    if not pool.include_deferred:
        return "does not count deferred tasks, and so caps no clusters: a task is deferred while its cluster runs"
    return "" if pool.slots >= 0 else "has no limit"
