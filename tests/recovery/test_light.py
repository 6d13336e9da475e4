"""A recovery command starts at once: it imports neither Airflow nor what loads and transforms data."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("airflow", "duckdb", "pandas", "pyarrow", "boto3", "great_expectations", "sqlalchemy")


_MODULES = (
    "cli.recover_plan", "cli.recover_apply", "cli.recover_status", "cli.fix",
    "recovery", "recovery.site_rest", "recovery.drawing", "local.stack.stack",
)  # fmt: skip
"""The commands, and what they import when they run."""


def test_a_recovery_command_imports_nothing_heavy() -> None:
    code = (
        f"import sys, httpx, importlib\nfor module in {_MODULES!r}:\n"
        "    importlib.import_module(f'sluicegate.{module}')\n"
        f"    print(module, sorted(set(m.partition('.')[0] for m in sys.modules) & set({_HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{module} []" for module in _MODULES]
