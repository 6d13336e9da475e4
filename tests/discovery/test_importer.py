"""Under Airflow 3.3, which has no importers. `tests/airflow34` runs ours under 3.4."""

from __future__ import annotations

import pytest

from sluicegate.discovery import PipelineImporter


def test_where_airflow_has_no_importers_it_says_what_to_use() -> None:
    with pytest.raises(RuntimeError, match=r"needs Airflow 3\.4.*PipelineBundle"):
        PipelineImporter()
