"""Reading all pipelines for a command, as Airflow would be let to."""

from __future__ import annotations

import os
from pathlib import Path

from sluicegate.cli.home import airflow_home
from sluicegate.pipeline.text.environment import ALLOWLIST, Environment
from sluicegate.pipeline.tree import Tree, read_tree

__all__ = ["allowlist", "load_memory_limit", "tree_of"]


def tree_of(root: Path) -> Tree:
    """All pipelines, with the variables that Airflow lets them read; its configuration is asked where that matters."""
    tree = read_tree(root)
    if ALLOWLIST in os.environ or not any(diagnostic.code == "env" for diagnostic in tree.diagnostics):
        return tree
    return read_tree(root, Environment.of_process(allowlist()))


def allowlist() -> str:
    """What Airflow's configuration says of the variables that pipeline files may read."""
    with airflow_home():
        from airflow.providers.common.compat.sdk import conf

        return str(conf.get("sluicegate", "env_allowlist", fallback=""))


def load_memory_limit() -> str:
    """What Airflow's configuration says of the memory that the records of a load may take."""
    from sluicegate.records.limits import MEMORY_LIMIT

    with airflow_home():
        from airflow.providers.common.compat.sdk import conf

        return str(conf.get("sluicegate", "load_memory_limit", fallback=MEMORY_LIMIT))
