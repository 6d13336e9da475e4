"""The local AWS's share of the stack: how it is started, and how many Spark jobs this machine runs at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from sluicegate.local.stack.component import Component
from sluicegate.local.stack.state import Ports, Secrets, State

_GIB = 1 << 30
_OTHERS = 2.5 * _GIB
"""Memory of Airflow and Postgres with tasks running."""
_JOB = 1.5 * _GIB
_MOST = 4


def component(state: State, ports: Ports, secrets: Secrets, env: Mapping[str, str], chaos: str) -> Component:
    """`chaos`: what goes wrong on purpose, empty for nothing."""
    cores, memory = _cores(), psutil.virtual_memory().available
    command = [
        *(sys.executable, "-m", "sluicegate.local.aws", "--port", str(ports.aws), "--root", str(state.s3)),
        *("--logs", str(state.logs / "emr"), "--state", str(state.emr), "--ready", str(state.aws_ready)),
        *("--create-buckets", "--slots", str(slots(cores, memory))),
    ]
    if cache := _cache():
        command += ["--cache", str(cache)]
    if chaos:
        command += ["--chaos", chaos]
    known = {"SLUICEGATE_LOCAL_KEY": secrets.aws_access_key, "SLUICEGATE_LOCAL_SECRET": secrets.aws_secret_key}
    return Component(
        name="aws",
        command=tuple(command),
        env={**env, **known},
        log=state.log("aws"),
        cwd=state.root,
        before=lambda: state.aws_ready.unlink(missing_ok=True),
        ready=lambda since: state.aws_ready.exists(),
    )


def slots(cores: int, memory: int) -> int:
    """How many clusters run a step at the same time, with so many bytes of memory free before the stack starts."""
    return max(1, min(cores, int((memory - _OTHERS) // _JOB), _MOST))


def _cache() -> Path | None:
    """The folder for archives that all state folders share: in the virtual environment, as its Spark is and goes with
    it; where none is to be written to, in the user's home. None for a user without a home.
    """
    environment = Path(sys.prefix)
    if sys.prefix != sys.base_prefix and os.access(environment, os.W_OK):
        return environment / "var" / "cache" / "sluicegate"
    with suppress(RuntimeError):
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluicegate"
    return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
