"""A dags root with modules of an author's, and a way to run one step as Airflow's task runner does."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from sluicegate.graph.window import Window
from sluicegate.testing.step import StepInstance

_names = itertools.count()


class Author:
    """Writes modules under names that no other test uses, for Python loads a module once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def module(self, source: str) -> str:
        name = f"authors_module_{next(_names)}"
        (self.root / f"{name}.py").write_text(textwrap.dedent(source))
        return name


@pytest.fixture
def author(tmp_path: Path) -> Author:
    root = tmp_path / "dags"
    root.mkdir()
    return Author(root)


@pytest.fixture
def task_id() -> Callable[[], str]:
    """Ids for several steps of one DAG."""
    return lambda: f"step_{next(_names)}"


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Render and execute a step for 2013-02-11; `params` as keyword arguments. Airflow's own `ds` is another day."""
    window = Window(datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 12, tzinfo=UTC))
    with DAG("orders"):

        def run_step(step: BaseOperator, **params: Any) -> Any:
            return StepInstance(step, window, params=params, logical_date=datetime(2099, 1, 1, tzinfo=UTC)).execute()

        yield run_step
