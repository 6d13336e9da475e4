"""Under Airflow 3.3: what the importer is made of. `tests/airflow34` runs it under 3.4."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.factory import PipelineImporter
from sluicegate.pipeline.tree import is_hidden


def test_where_airflow_has_no_importers_it_says_what_to_use() -> None:
    with pytest.raises(RuntimeError, match=r"needs Airflow 3\.4.*PipelineBundle"):
        PipelineImporter()


@pytest.mark.parametrize("name", [".github/a.yaml", "team/.hidden.yaml", "node_modules/a.yaml", "x/__pycache__/a.yaml"])
def test_hidden_files_are_hidden(name: str) -> None:
    root = Path("/srv/.releases/dags")
    assert is_hidden(root / name, root)
    assert not is_hidden(root / "team" / "a.yaml", root)
