"""The DAG bundle that shows Airflow 3.3 a folder of pipeline files: `initialize` and `refresh` make stubs of it.

Imported by every component that knows the bundle's name: what reads and builds pipelines is imported where
files are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion
from airflow.sdk import get_parsing_context

if TYPE_CHECKING:
    from sluicegate.discovery.stub_sync import StubSync

__all__ = ["PipelineBundle"]


class PipelineBundle(BaseDagBundle):
    """All pipelines at and below `root`.

    In `[dag_processor] dag_bundle_config_list`: `{"name": "pipelines", "classpath":
    "sluicegate.discovery.bundle.PipelineBundle", "kwargs": {"root": "/srv/dags", "refresh_interval": 10}}`.
    Python DAG files stay in a bundle of their own: those below `root` are code of pipelines.

    :param root: the dags root; also put at the end of `sys.path`, for functions of pipelines
    :param shard_size: how many good pipelines Airflow parses as one file
    :param snapshots: a folder that all machines see, for states of the tree: with it a run goes on with the files
        that it began with, whatever is edited meanwhile
    """

    supports_versioning = False

    def __init__(
        self, *, root: str, shard_size: int | None = None, snapshots: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if shard_size is not None and shard_size < 1:
            raise ValueError(f"shard_size of the bundle {self.name} is at least 1, not {shard_size}")
        self.root = Path(root).expanduser().absolute()
        self.shard_size = shard_size
        self.snapshots = Path(snapshots).expanduser().absolute() / self.name if snapshots else None
        if self.snapshots is not None and self.snapshots.is_relative_to(self.root):
            raise ValueError(
                f"the snapshots of the bundle {self.name} cannot be in its root {self.root}: move them out"
            )
        self.supports_versioning = self.snapshots is not None

    @property
    def home(self) -> Path:
        """Where this bundle, or the version of it that a run is pinned to, keeps its files."""
        return self.versions_dir / self.version if self.version else self.base_dir

    @property
    def path(self) -> Path:
        return self.home / "stubs"

    def initialize(self) -> None:
        from sluicegate.factory.code_path import find_code

        if self.version:
            self._fetch(self.version)
        elif get_parsing_context().dag_id is not None:
            from sluicegate.discovery.store import BundleStore

            # A task is about to start: what it needs is found when its pipeline is parsed, and no more than that is
            # imported here.
            if not BundleStore(self.base_dir).has_stubs():
                self._sync().provide_stubs()
            find_code(self.root)
        elif self.root.is_dir():
            self.refresh()
        # Without a root the stubs of before may be there, and a task can say what its own file lacks.
        super().initialize()

    def refresh(self) -> None:
        """Bring the stubs up to date.

        :raises FileNotFoundError: when the root does not exist
        """
        if self.version:
            return
        from sluicegate.discovery.preload import preload_parsing
        from sluicegate.factory.code_path import find_code

        find_code(self.root)
        found = self._sync().refresh()
        if found is not None:
            # What parses the stubs is forked from the process that refreshes, and finds all this imported.
            preload_parsing(found.modules())

    def get_current_version(self) -> BundleVersion | None:
        if self.snapshots is None:
            return None
        version = self.version or self._sync().state().version
        return BundleVersion(version) if version else None

    def _sync(self) -> StubSync:
        from sluicegate.discovery.settings import environment, stale_after
        from sluicegate.discovery.store import BundleStore
        from sluicegate.discovery.stub_sync import SHARD_SIZE, StubSync

        return StubSync(
            root=self.root,
            store=BundleStore(self.base_dir),
            lock=self.lock,
            environment=environment(),
            size=self.shard_size or SHARD_SIZE,
            snapshots=self.snapshots,
            stale_after=stale_after(),
        )

    def _fetch(self, version: str) -> None:
        from sluicegate.discovery.snapshots import fetch
        from sluicegate.discovery.store import BundleStore
        from sluicegate.factory.code_path import find_code

        if self.snapshots is None:
            raise ValueError(
                f"the run is pinned to the version {version} of the bundle {self.name}, which keeps no `snapshots` any "
                "more: clear the task with `run on latest version`"
            )
        self.versions_dir.mkdir(parents=True, exist_ok=True)
        fetch(self.snapshots, version, self.home)
        find_code(BundleStore(self.home).tree, instead_of=self.root)
