"""Airflow's pools over the API."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.api.answers import Fields
from sluicegate.api.client import Client, path

__all__ = ["Pool", "find_pool"]


@dataclass(frozen=True)
class Pool:
    """A pool. `slots` is -1 if it has no limit; `include_deferred`: whether tasks that are deferred take slots too."""

    name: str
    slots: int
    include_deferred: bool


def find_pool(client: Client, name: str) -> Pool | None:
    """The pool `name`, or None where Airflow has none."""
    answer = client.find(path("pools", name))
    if answer is None:
        return None
    fields = Fields(answer)
    return Pool(fields.text("name"), fields.number("slots"), bool(fields.value("include_deferred")))
