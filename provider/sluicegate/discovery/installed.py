"""What is installed here, as a form: what was found out under other providers is not known here."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache
from pathlib import Path

import sluicegate
from sluicegate.discovery.compiled import form

__all__ = ["installed_form"]


@lru_cache(maxsize=1)
def installed_form() -> str:
    """Changes with everything that is installed: with another provider another argument may be right.

    With our own files too: under one version they may be a working copy.
    """
    there = sorted({name for folder in sys.path for name in _distributions(folder)})
    for file in sorted(Path(sluicegate.__file__).parent.rglob("*.py")):
        state = file.stat()
        there.append(f"{file.name} {state.st_mtime_ns} {state.st_size}")
    return f"{form()} {hashlib.sha256(' '.join(there).encode(errors='surrogateescape')).hexdigest()}"


def _distributions(folder: str) -> list[str]:
    """The distributions in a folder of `sys.path`, each with its version: the names say it, no file is opened."""
    try:
        return [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
    except OSError:
        return []  # a zip file, or nothing
