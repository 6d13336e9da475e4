"""The name of this Airflow, by which its clusters are known."""

from __future__ import annotations

from sluicegate.emr.names import DEFAULT_DEPLOYMENT

__all__ = ["deployment_name"]


def deployment_name() -> str:
    """`[sluicegate] deployment` of Airflow's configuration."""
    from airflow.sdk.configuration import conf

    return str(conf.get("sluicegate", "deployment", fallback=DEFAULT_DEPLOYMENT))
