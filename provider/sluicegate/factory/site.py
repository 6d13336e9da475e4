"""Where pipelines are parsed and run: their code on the path, their variables, and how Airflow is told a mistake.

Light: every task that starts imports it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from sluicegate.pipeline.text.environment import Environment

__all__ = ["PipelineFileError", "environment", "find_code", "refuse", "stale_after"]


class PipelineFileError(Exception):
    """What Airflow shows as the import error of a pipeline file: the drawing of its mistakes."""

    # A traceback names the class with its module, which says nothing to the file's author.
    __module__ = "sluicegate"

    def __str__(self) -> str:
        return "\n" + super().__str__()


def refuse(text: str) -> None:
    """Raise what is wrong with a file, also what only the whole tree shows: a name taken twice.

    :raises PipelineFileError: always
    """
    raise PipelineFileError(text)


def find_code(root: Path, instead_of: Path | None = None) -> None:
    """Make functions of pipelines importable from the dags root.

    At the end of `sys.path`: a folder of a pipeline must not hide an installed package.

    :param instead_of: the live root where `root` is a snapshot's: its code must not come first
    """
    if instead_of is not None:
        sys.path[:] = [entry for entry in sys.path if entry != str(instead_of)]
    if (entry := str(root)) not in sys.path:
        sys.path.append(entry)


def environment() -> Environment:
    """The variables that pipeline files may ask for."""
    from sluicegate.pipeline.text.environment import Environment

    return Environment.of_process(conf.get("sluicegate", "env_allowlist", fallback=""))


def stale_after() -> float:
    """Seconds by which the last parse of a file must be newer than that of a DAG for Airflow to take it for deleted."""
    return float(conf.getfloat("dag_processor", "stale_dag_threshold", fallback=50.0))
