"""The Airflow pools that a pipeline's tasks take a slot of. A task has one pool, so one of a step's places decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sluicegate.pipeline.keys.model import FetchStep, LoadStep, OperatorStep, Pipeline, SparkStep, StepBase

__all__ = ["PoolUse", "Use", "pool_of", "pools_of", "uses_of"]

_ELSEWHERE = ("https://", "http://")


class Use(StrEnum):
    """What a pool bounds."""

    CLUSTER = "cluster"
    """Its tasks are deferred while their clusters live, and must hold their slots meanwhile."""
    WAREHOUSE = "warehouse"
    SOURCE = "source"
    OWN = "own"
    """What the steps that name it are about."""


@dataclass(frozen=True)
class PoolUse:
    """A pool, and what it bounds."""

    pool: str
    use: Use


def pool_of(step: StepBase, pipeline: Pipeline) -> PoolUse | None:
    """The pool of a step's task; None for Airflow's own.

    The step's own `pool` comes first, then that of its cluster, then `pools` of the file. A load from a web server
    takes the pool of its source rather than the warehouse's: what is not ours is what must not be overrun.
    """
    if step.pool is not None:
        return PoolUse(step.pool, Use.CLUSTER if isinstance(step, SparkStep) else Use.OWN)
    pools = pipeline.pools
    candidates: tuple[tuple[Use, str | None], ...]
    match step:
        case SparkStep():
            candidates = ((Use.CLUSTER, step.cluster.pool), (Use.CLUSTER, pools.cluster))
        case FetchStep():
            candidates = ((Use.SOURCE, pools.source),)
        case LoadStep():
            from_elsewhere = pools.source if _from_elsewhere(step, pipeline) else None
            candidates = ((Use.SOURCE, from_elsewhere), (Use.WAREHOUSE, pools.warehouse))
        case _:
            return None
    return next((PoolUse(pool, use) for use, pool in candidates if pool is not None), None)


def pools_of(pipelines: Iterable[Pipeline]) -> dict[str, frozenset[Use]]:
    """By the name of each pool that steps take, or name as an argument of their operator, what it bounds."""
    found: dict[str, set[Use]] = {}
    for pipeline in pipelines:
        for step in pipeline.steps.values():
            for each in uses_of(step, pipeline):
                found.setdefault(each.pool, set()).add(each.use)
    return {name: frozenset(uses) for name, uses in sorted(found.items())}


def uses_of(step: StepBase, pipeline: Pipeline) -> tuple[PoolUse, ...]:
    """The pool of a step's task, those that only Airflow's own arguments say among them."""
    said = step.with_.get("pool") if isinstance(step, OperatorStep) else None
    if isinstance(said, str):
        return (PoolUse(said, Use.OWN),)
    found = pool_of(step, pipeline)
    return () if found is None else (found,)


def _from_elsewhere(step: LoadStep, pipeline: Pipeline) -> bool:
    dataset = pipeline.datasets.get(step.load.dataset)
    return dataset is not None and dataset.uri.startswith(_ELSEWHERE)
