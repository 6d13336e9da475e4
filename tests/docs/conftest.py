"""A clean `sys.path` for the pipelines of each page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_path(tmp_path: Path) -> Iterator[None]:
    """What building a page's pipelines puts on `sys.path` goes with it, and what is imported from there."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
