"""Starts a load in a process of its own, see `loader.py`, and reads its report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOADER = str(Path(__file__).with_name("loader.py"))


def start_loader(facts: dict[str, object]) -> subprocess.Popen[str]:
    """A process that has imported what it needs, and begins its load now."""
    process = subprocess.Popen([sys.executable, LOADER, json.dumps(facts)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The report of a load that has to succeed."""
    assert process.stdout is not None
    # Not by `communicate`: what a quick load has printed together with "ready" is in the buffer already.
    out = process.stdout.read()
    assert process.wait(timeout=300) == 0
    return json.loads(out)  # type: ignore[no-any-return]
