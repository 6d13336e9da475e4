"""What code a step ran is known by its files and by the packages that these use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from sluicegate.receipts.code import files_of, packages_of, version_of


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "receipt_rates.py").write_text("RATE = 2\n")
    (tmp_path / "receipt_clean.py").write_text("import jinja2\nimport json\nfrom receipt_rates import RATE\n")
    yield tmp_path
    for name in ("receipt_clean", "receipt_rates"):
        sys.modules.pop(name, None)


def test_versions_are_those_that_python_says() -> None:
    for name in ("apache-airflow", "duckdb", "great-expectations", "psycopg", "PyYAML"):
        assert version_of(name) == metadata.version(name)
    assert version_of("there-is-no-such-package") is None


def test_imported_and_named_files_count_and_a_change_shows(root: Path) -> None:
    importlib.import_module("receipt_clean")
    (root / "job.py").write_text("x\n")
    before = files_of(root, ["job.py", "missing.py"])
    assert set(before) == {"receipt_clean.py", "receipt_rates.py", "job.py"}
    (root / "receipt_rates.py").write_text("RATE = 3\n")
    after = files_of(root, ["job.py"])
    assert {name for name in before if before[name] != after[name]} == {"receipt_rates.py"}


def test_packages_that_the_code_uses_are_among_those_that_matter(root: Path) -> None:
    importlib.import_module("receipt_clean")
    found = packages_of(root, "1.2.3")
    assert found["sluicegate"] == "1.2.3"
    assert found["jinja2"] == metadata.version("jinja2")
    assert "json" not in found
    assert "receipt_rates" not in found
    assert not any(name in packages_of(None, "1") for name in ("jinja2", "json"))
