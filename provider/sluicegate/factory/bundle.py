"""The DAG bundle that shows Airflow 3.3 a folder of pipeline files: `initialize` and `refresh` mirror it.

Imported by every component that knows the bundle's name: what reads and builds pipelines is imported where
files are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from sluicegate.factory.mirror import mirror

__all__ = ["PipelineBundle"]


class PipelineBundle(BaseDagBundle):
    """All pipelines at and below `root`.

    In `[dag_processor] dag_bundle_config_list`: `{"name": "pipelines", "classpath":
    "sluicegate.factory.bundle.PipelineBundle", "kwargs": {"root": "/srv/dags", "refresh_interval": 10}}`.
    Python DAG files stay in a bundle of their own: those below `root` are code of pipelines.

    :param root: the dags root; also put at the end of `sys.path`, for functions of pipelines
    """

    supports_versioning = False

    def __init__(self, *, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root).expanduser().absolute()

    @property
    def path(self) -> Path:
        return self.base_dir / "stubs"

    def initialize(self) -> None:
        if self.root.is_dir():
            self.refresh()
        # Without a root the stubs of before may be there, and a task can say what its own file lacks.
        super().initialize()

    def refresh(self) -> None:
        """Bring the stubs up to date.

        :raises FileNotFoundError: when the root does not exist
        """
        # What parses the stubs is forked from the process that refreshes, and finds all this imported.
        from sluicegate.factory.load import find_code
        from sluicegate.factory.stub import stubs

        find_code(self.root)
        mirror(self.root, self.path, stubs, self.lock)

    def get_current_version(self) -> None:
        return None
