"""What is imported into processes that tasks are forked from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

STATE = """
import json, os, sys
from sluicegate.discovery.preload import preload_tasks

preload_tasks(sys.argv[1:])
wanted = ("duckdb", "sluicegate.factory.build", "sluicegate.load.operator", "airflow.sdk")
threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1
print(json.dumps([[name for name in wanted if name in sys.modules], threads]))
"""


def state(*arguments: str) -> tuple[list[str], int]:
    """Of a component that was started so: which of the modules it has, and how many threads."""
    done = subprocess.run([sys.executable, "-c", STATE, *arguments], capture_output=True, text=True, check=True)
    modules, threads = json.loads(done.stdout.splitlines()[-1])
    return modules, threads


@pytest.mark.parametrize("command", [("scheduler",), ("celery", "worker")])
def test_what_forks_tasks_imports_what_they_need_and_starts_no_thread_by_it(command: tuple[str, ...]) -> None:
    modules, threads = state("airflow", *command)
    assert modules == ["duckdb", "sluicegate.factory.build", "sluicegate.load.operator", "airflow.sdk"]
    assert threads == 1


def test_other_components_import_nothing() -> None:
    assert state("airflow", "triggerer") == ([], 1)


def test_a_module_that_is_not_there_or_fails_is_left_to_the_task() -> None:
    code = (
        "from sluicegate.discovery import preload\n"
        "preload._RUNNING = ('no_such_module', 'decimal')\n"
        "preload.preload_tasks(['airflow', 'scheduler'])\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
