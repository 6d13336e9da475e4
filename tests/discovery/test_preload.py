"""What is imported into processes that tasks are forked from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sluicegate.discovery import preload
from tests.fresh import FreshAirflow

STATES = """
import json, os, sys
from sluicegate.discovery.preload import preload_tasks

wanted = ("duckdb", "sluicegate.factory.build", "sluicegate.load.operator", "airflow.sdk")
found = {}
for words in ("airflow triggerer", "airflow scheduler", "airflow celery worker"):
    for name in [name for name in sys.modules if name in wanted or name.startswith("sluicegate.")]:
        if name != "sluicegate.discovery.preload":
            del sys.modules[name]
    preload_tasks(words.split())
    threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1
    found[words] = [[name for name in wanted if name in sys.modules], threads]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def states(fresh: FreshAirflow) -> dict[str, tuple[list[str], int]]:
    """By command, of a component that was started so: which of the modules it has, and how many threads."""
    done = fresh.run(STATES)
    done.check_returncode()
    return {words: (modules, threads) for words, (modules, threads) in json.loads(done.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("command", ["airflow scheduler", "airflow celery worker"])
def test_what_forks_tasks_imports_what_they_need_and_starts_no_thread_by_it(
    states: dict[str, tuple[list[str], int]], command: str
) -> None:
    modules, threads = states[command]
    assert modules == ["duckdb", "sluicegate.factory.build", "sluicegate.load.operator", "airflow.sdk"]
    assert threads == 1


def test_other_components_import_nothing(states: dict[str, tuple[list[str], int]]) -> None:
    assert states["airflow triggerer"] == ([], 1)


def test_a_module_that_is_not_there_or_fails_is_left_to_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_module.py").write_text("raise RuntimeError('not here')\n")
    (tmp_path / "module_after_it.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preload, "_STARTING", ())
    monkeypatch.setattr(preload, "_RUNNING", ("no_such_module", "failing_module", "module_after_it"))
    preload.preload_tasks(["airflow", "scheduler"])
    assert sys.modules.pop("module_after_it").__file__
