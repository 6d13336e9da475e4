"""Who is compared: how each is told the workload, where it is installed, by which door Airflow finds its DAGs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import handwritten, yamlfiles
from measure.workload import Pipeline

__all__ = ["BARE", "CONTENDERS", "LIKE_OURS", "LOOP", "OURS", "Contender"]


@dataclass(frozen=True)
class Contender:
    """`requirement`: of an environment of its own; None for ours. `door`: `folder` or `bundle`."""

    name: str
    write: Callable[[Path, tuple[Pipeline, ...]], None]
    requirement: str | None = None
    door: str = "folder"


BARE = Contender("hand-written Python", handwritten.one_file_each)
LIKE_OURS = Contender("hand-written Python, the same DAG", handwritten.one_file_each_like_ours)
LOOP = Contender("hand-written loop in one file", handwritten.loop)
OURS = Contender("Sluicegate", yamlfiles.sluicegate, door="bundle")
CONTENDERS = (
    BARE,
    LIKE_OURS,
    LOOP,
    OURS,
    Contender("naive loader, 20 lines", yamlfiles.naive),
    Contender("dag-factory 1.1.0", yamlfiles.dag_factory, "dag-factory==1.1.0"),
    Contender("blueprint 0.5.0", yamlfiles.blueprint, "airflow-blueprint==0.5.0"),
    Contender("gusty 0.23.1", yamlfiles.gusty, "gusty==0.23.1"),
)
