"""A dags root that is empty although pipelines of it are scheduled: more likely a lost file system than a deletion.

What is scheduled stays until a file comes back, or a person says that the root is to be empty.
"""

from __future__ import annotations

from pathlib import Path

from sluicegate.discovery.code_digest import MAY_BE_EMPTY
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline.walk import yaml_files

__all__ = ["NAME", "is_lost", "lost_message"]

NAME = "empty dags root"
"""Under which Airflow's import errors list it."""


def is_lost(root: Path, store: BundleStore) -> bool:
    """Whether no YAML file is left, pipelines are scheduled, and no file says that this is meant."""
    return not yaml_files(root) and bool(store.names()) and not (root / MAY_BE_EMPTY).exists()


def lost_message(root: Path, store: BundleStore) -> str:
    return (
        f"The dags root {root} has no YAML file any more, and {len(store.names())} pipelines of it are scheduled. They "
        "keep their last good versions. If its file system is lost, mount it again: the first file that comes back "
        "ends this. "
        f"If all pipelines were deleted on purpose, confirm it: `touch {root / MAY_BE_EMPTY}`"
    )
