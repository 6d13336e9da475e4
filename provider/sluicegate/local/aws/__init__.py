"""The local AWS: EMR that really runs spark-submit, and S3 in a folder, on 127.0.0.1. See `LocalAws`.

As a process: `python -m sluicegate.local.aws --root DIR` (see `__main__`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.local.aws.server import LocalAws as LocalAws
    from sluicegate.local.aws.server import RootInUseError as RootInUseError

__all__ = ["LocalAws", "RootInUseError"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from sluicegate.local.aws import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
