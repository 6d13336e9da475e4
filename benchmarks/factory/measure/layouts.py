"""In how many files Airflow finds N pipelines. All of ours by the one bundle, which is told the size of its shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure.contenders import BARE, OURS, Contender
from sluicegate.local.stack.airflow import DAG_PROCESSOR, pipeline_bundles

__all__ = ["LAYOUTS", "Layout"]

_PATIENT = {
    # One file with all pipelines would be cut off; the others never come near.
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "900",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "900",
}


@dataclass(frozen=True)
class Layout:
    """`settings`: what one pass needs beyond Airflow's defaults."""

    key: str
    name: str
    contender: Contender
    shard_size: int | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: _PATIENT, hash=False)

    @property
    def is_ours(self) -> bool:
        return self.contender is OURS and self.shard_size is None

    @property
    def is_for_all(self) -> bool:
        return self.key == "whole"

    @property
    def recommended(self) -> dict[str, str]:
        """What `sluicegate up` sets for the dag-processor."""
        return dict(DAG_PROCESSOR)

    def bundle(self, folder: Path) -> dict[str, Any]:
        """An entry of `[dag_processor] dag_bundle_config_list`."""
        if self.contender is BARE:
            classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
            return {"name": "bench", "classpath": classpath, "kwargs": {"path": str(folder)}}
        (ours,) = pipeline_bundles(str(folder))
        size = {} if self.shard_size is None else {"shard_size": self.shard_size}
        return ours | {"name": "bench", "kwargs": ours["kwargs"] | size}


LAYOUTS = (
    Layout("shards", "Sluicegate, shards of 50", OURS),
    Layout("whole", "Sluicegate, one stub for all", OURS, shard_size=1_000_000),
    Layout("each", "Sluicegate, one stub a file", OURS, shard_size=1),
    Layout("by_hand", "hand-written Python, a file a DAG", BARE),
)
