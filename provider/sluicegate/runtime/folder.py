"""The folder a step works in. One that a killed step has left is removed by the next step on the machine."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["work_folder"]

_PREFIX = "sluicegate-step-"
_LOCK = "lock"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder, removed at the end. The lock on a file in it says that its step lives, and dies with it."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), left.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    # Locked before it has the name that others look for.
    draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    with (draft / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = draft.rename(parent / draft.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
