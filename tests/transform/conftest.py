"""A dags root with modules of an author's, and a way to run one step as Airflow's task runner does."""

from __future__ import annotations

import contextvars
import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard

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


class TaskInstance(SimpleNamespace):
    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Render and execute a step for 2013-02-11; `params` as keyword arguments."""
    with DAG("orders"):

        def run_step(step: BaseOperator, **params: Any) -> Any:
            ti = TaskInstance(try_number=1, map_index=-1, xcoms={})
            context: Mapping[str, Any] = {
                "ti": ti,
                "run_id": "scheduled__2013-02-11",
                "params": params,
                "ds": "2099-01-01",
                "data_interval_start": datetime(2013, 2, 11, tzinfo=UTC),
                "data_interval_end": datetime(2013, 2, 12, tzinfo=UTC),
            }
            step.render_template_fields(context)  # type: ignore[arg-type]
            runner = contextvars.copy_context()
            runner.run(ExecutorSafeguard.tracker.set, step)
            return runner.run(step.execute, context)

        yield run_step
