"""The Postgres on which the SQL of the docs is run, one like that of the tests of loads; and a clean `sys.path`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.conftest import server

__all__ = ["own_path", "server"]


@pytest.fixture(autouse=True)
def own_path(tmp_path: Path) -> Iterator[None]:
    """What building a page's pipelines puts on `sys.path` goes with it, and what is imported from there."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
