"""Sluicegate: YAML files become Airflow DAGs. This module is imported by every `airflow` call: keep it light."""

from __future__ import annotations

__version__ = "0.1.0"


def get_provider_info() -> dict[str, object]:
    """What Airflow's provider discovery asks for (schema: airflow/provider_info.schema.json)."""
    return {
        "package-name": "airflow-provider-sluicegate",
        "name": "Sluicegate",
        "description": "YAML files become DAGs with right dependencies, repeatable loads and dead letters.",
    }
