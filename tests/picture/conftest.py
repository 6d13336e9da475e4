from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.pipeline import Tree, read_tree

DAY = 'schedule: {cron: "@daily", start: 2026-01-01}\n'

FILES = {
    "raw.yaml": f"sluicegate: 1\nowner: sea\n{DAY}"
    'datasets: {ships: "s3://lake/ships/{{ ds }}/", ports: table://warehouse/ports}\n'
    "steps:\n"
    "  land: {load: s3://landing/ships.csv, into: table://warehouse/ships}\n"
    "  fetch:\n"
    "    operator: airflow.providers.standard.operators.bash.BashOperator\n"
    "    with: {bash_command: x}\n"
    "    writes: ships\n"
    "  ports: {load: s3://landing/ports.csv, into: ports, after: {dag: legacy, task: export}}\n",
    "report.yaml": f"sluicegate: 1\n{DAY}"
    "steps:\n"
    "  count:\n"
    "    python: harbour:count\n"
    "    reads: {ships: raw.ships, ports: {dataset: raw.ports, latest: true}}\n"
    '    writes: {out: "s3://lake/counts/{{ ds }}.csv"}\n'
    "  tell: {python: harbour:tell, after: count}\n",
    "late.yaml": f"sluicegate: 1\n{DAY}steps:\n  read: {{python: harbour:tell, reads: {{ships: raw.ships}}}}\n",
    "lone.yaml": "sluicegate: 1\nsteps:\n  tell: {python: harbour:tell}\n",
    "harbour.py": "def count(reads, writes): ...\n\n\ndef tell(reads): ...\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dags root with pipelines that are right."""
    folder = tmp_path / "dags"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def tree(root: Path) -> Tree:
    tree = read_tree(root)
    assert [diagnostic for diagnostic in tree.diagnostics if diagnostic.is_error] == []
    return tree
