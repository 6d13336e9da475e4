"""A home for Airflow in commands that build DAGs and need nothing from it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

__all__ = ["airflow_home"]


@contextmanager
def airflow_home() -> Iterator[None]:
    """Airflow makes its home when it is imported: these leave none behind where there was none.

    What Airflow logs meanwhile goes to standard error: standard output is the command's result.
    """
    with redirect_stdout(sys.stderr):
        if "AIRFLOW_HOME" in os.environ or Path("~/airflow").expanduser().exists() or "airflow" in sys.modules:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="sluicegate-") as home:
            os.environ["AIRFLOW_HOME"] = home
            yield
