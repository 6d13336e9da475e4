"""The pipelines that every contender is given: six tasks each. The same N gives the same pipelines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Pipeline", "Task", "pipelines"]

_TABLES = ("orders", "customers", "invoices", "parcels", "returns", "visits")


@dataclass(frozen=True)
class Task:
    """Runs `command` in a shell; without one it is an EmptyOperator."""

    name: str
    command: str | None
    after: tuple[str, ...]

    @property
    def operator(self) -> str:
        kind = ("empty", "EmptyOperator") if self.command is None else ("bash", "BashOperator")
        return "airflow.providers.standard.operators.{}.{}".format(*kind)


@dataclass(frozen=True)
class Pipeline:
    """What all contenders can say. Each starts at 2026-01-01 UTC, does not catch up, and every task is tried
    3 times more, after 30 seconds, then longer, up to 10 minutes.
    """

    name: str
    description: str
    owner: str
    tags: tuple[str, ...]
    cron: str
    tasks: tuple[Task, ...]

    @property
    def edges(self) -> Iterator[tuple[str, str]]:
        return ((before, task.name) for task in self.tasks for before in task.after)


def pipelines(count: int) -> tuple[Pipeline, ...]:
    return tuple(_pipeline(index) for index in range(count))


def _pipeline(index: int) -> Pipeline:
    chance = random.Random(index)
    table, other = chance.sample(_TABLES, 2)
    team = f"team_{chance.randrange(20)}"
    limit = chance.randrange(1000, 10_000)
    return Pipeline(
        name=f"p{index:04}",
        description=f"Brings {table} and {other} of shop {index} together.",
        owner=team,
        tags=("bench", team),
        cron=f"{chance.randrange(60)} {chance.randrange(24)} * * *",
        tasks=(
            Task("begin", None, ()),
            Task(f"extract_{table}", f"python extract.py --table {table} --shop {index}", ("begin",)),
            Task(f"extract_{other}", f"python extract.py --table {other} --limit {limit}", ("begin",)),
            Task("join", f"python join.py {table} {other} --shop {index}", (f"extract_{table}", f"extract_{other}")),
            Task("publish", f"python publish.py --shop {index}", ("join",)),
            Task("report", f"python report.py --to {team}", ("join", f"extract_{table}")),
        ),
    )
