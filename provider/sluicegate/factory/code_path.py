"""Where the code of pipelines is found. Light: every task that starts imports it."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["find_code"]


def find_code(root: Path, instead_of: Path | None = None) -> None:
    """Make functions of pipelines importable from the dags root.

    At the end of `sys.path`: a folder of a pipeline must not hide an installed package.

    :param instead_of: the live root where `root` is a snapshot's: its code must not come first
    """
    if instead_of is not None:
        sys.path[:] = [entry for entry in sys.path if entry != str(instead_of)]
    if (entry := str(root)) not in sys.path:
        sys.path.append(entry)
