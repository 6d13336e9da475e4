"""Bundles on storages of a test's own, and what Airflow makes of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import BundleDagBag

from sluicegate.discovery import installed
from sluicegate.discovery.bundle import PipelineBundle

STORAGE = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"
CONTEXT = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"

OPERATORS = """\
from airflow.sdk import BaseOperator

class Op(BaseOperator):
    ui_color = "#111111"
    def execute(self, context):
        return 1
"""


def small(name: str, into: str | None = None, more: str = "") -> str:
    """A good pipeline of one step that writes `<name>.out` into the table `into`."""
    return (
        f'sluicegate: 1\n{more}datasets: {{out: "table://warehouse/public.{into or name}"}}\n'
        f"steps:\n  a: {{load: s3://x/{name}.csv, into: out, key: id}}\n"
    )


def reader(*upstreams: str, of: str = "out") -> str:
    """A good pipeline that reads `out` of each."""
    steps = "".join(
        f"  r{number}: {{operator: airflow.providers.standard.operators.empty.EmptyOperator, "
        f"reads: {{x: {{dataset: {name}.{of}, latest: true}}}}}}\n"
        for number, name in enumerate(upstreams)
    )
    return f"sluicegate: 1\nsteps:\n{steps}"


def custom(module: str) -> str:
    """A pipeline whose one step is `Op` of a module below the dags root."""
    return f"sluicegate: 1\nsteps:\n  a:\n    operator: {module}.Op\n"


def bundle_at(storage: Path, root: Path, version: str | None = None, **more: Any) -> PipelineBundle:
    """What a machine with that storage has; a new one is a new process to it."""
    before = os.environ[STORAGE]
    os.environ[STORAGE] = str(storage)
    try:
        return PipelineBundle(name="pipelines", root=str(root), version=version, **more)
    finally:
        os.environ[STORAGE] = before


def bag_of(bundle: PipelineBundle, file: str | None = None) -> BundleDagBag:
    """What Airflow makes of all stubs, or of one."""
    path = bundle.path if file is None else bundle.path / file
    return BundleDagBag(dag_folder=path, bundle_path=bundle.path, bundle_name=bundle.name)


def task_bag(bundle: PipelineBundle, dag_id: str, monkeypatch: pytest.MonkeyPatch, number: int = 0) -> BundleDagBag:
    """What Airflow makes of one shard when a task of that DAG starts, in a process of its own on a worker."""
    with monkeypatch.context() as patch:
        patch.setenv(CONTEXT, dag_id)
        bundle.initialize()
        return bag_of(bundle, f"shards/{number:03}.py")


def told(bundle: PipelineBundle) -> dict[str, str]:
    """What the shards say of each pipeline: its name and a digest."""
    text = "".join(path.read_text() for path in sorted((bundle.path / "shards").glob("*.py")))
    return dict(re.findall(r"^    '(\w+)': '(\w+)',$", text, re.MULTILINE))


def stubs(bundle: PipelineBundle) -> set[str]:
    return {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*.py")}


@contextmanager
def another_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if something else were installed."""
    with monkeypatch.context() as patch:
        patch.setattr(installed, "_distributions", lambda folder: ["another_provider-1.0.dist-info"])
        installed.installed_form.cache_clear()
        yield
    installed.installed_form.cache_clear()
