"""The uv that made the environment of the tests."""

from __future__ import annotations

import shutil
from pathlib import Path


def uv() -> str:
    """The Makefile's own, else the one on the PATH."""
    own = Path(__file__).parents[1] / ".uv" / "bin" / "uv"
    found = str(own) if own.is_file() else shutil.which("uv")
    assert found, "uv is missing: `make env` installs it"
    return found
