"""A recovery command starts at once: it imports neither Airflow nor what loads and transforms data."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("airflow", "duckdb", "pandas", "pyarrow", "boto3", "great_expectations", "sqlalchemy")


@pytest.mark.parametrize("module", ["recover_plan", "recover_apply", "recover_status", "fix"])
def test_a_recovery_command_imports_nothing_heavy(module: str) -> None:
    code = (
        f"import sys, sluicegate.cli.{module}, sluicegate.recovery, sluicegate.recovery.site_rest, "
        "sluicegate.recovery.drawing, sluicegate.local.stack.stack, httpx\n"
        f"print(sorted(set(m.partition('.')[0] for m in sys.modules) & set({_HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
