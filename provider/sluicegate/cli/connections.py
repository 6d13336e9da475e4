"""The Airflow connections that a command finds: those of this process, of the embedded stack, of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["find_connection", "take_from_stack"]


def take_from_stack(state: Path) -> None:
    """Let the connections of the embedded stack that runs on `state` be those of this process, those of its AWS too."""
    from sluicegate.local.stack.stack import running

    stack = running(state)
    if stack is not None:
        for name, value in stack.env.items():
            if name.startswith("AIRFLOW_CONN_"):
                os.environ.setdefault(name, value)


def find_connection(connection_id: str, state: Path) -> Any:
    """Of the variable `AIRFLOW_CONN_…`, else of the embedded stack that runs, else of this machine's Airflow.

    :raises AirflowNotFoundException: when there is none
    """
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    is_set = name in os.environ
    if not is_set:
        take_from_stack(state)
        is_set = name in os.environ
    if is_set:
        from airflow.sdk import BaseHook

        return BaseHook.get_connection(connection_id)
    from airflow.models.connection import Connection

    return Connection.get_connection_from_secrets(connection_id)
