"""The ids that Airflow gets for the groups of a pipeline's steps."""

from __future__ import annotations

__all__ = ["around", "group_id"]


def group_id(group: str) -> str:
    """Airflow's: it may have no dots, and shares its names with the tasks."""
    return group.replace(".", "__")


def around(group: str) -> tuple[str, ...]:
    """The groups that a group is in, the outermost first, and itself."""
    parts = group.split(".")
    return tuple(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
