from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.preload import preload_parsing
from tests.discovery.bundles import bundle_at

preload_parsing(())  # as in a dag-processor: every child that builds would import it for itself


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A dags root; what building puts on `sys.path` goes with it, and what is imported from there."""
    before = list(sys.path)
    folder = tmp_path / "dags"
    folder.mkdir()
    yield folder
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__dict__", {}).get("__file__") or "").startswith(str(tmp_path)):  # asks no lazy module
            del sys.modules[name]


@pytest.fixture
def bundle(root: Path, tmp_path: Path) -> PipelineBundle:
    return bundle_at(tmp_path / "bundles", root)
