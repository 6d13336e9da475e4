"""What Airflow's configuration says about discovery. Light: every task that starts imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from sluicegate.pipeline.text.environment import Environment

__all__ = ["environment", "stale_after"]


def environment() -> Environment:
    """The variables that pipeline files may ask for."""
    from sluicegate.pipeline.text.environment import Environment

    return Environment.of_process(conf.get("sluicegate", "env_allowlist", fallback=""))


def stale_after() -> float:
    """Seconds by which the last parse of a file must be newer than that of a DAG for Airflow to take it for deleted."""
    return float(conf.getfloat("dag_processor", "stale_dag_threshold", fallback=50.0))
