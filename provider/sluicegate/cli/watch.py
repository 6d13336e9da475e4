"""`check --watch`: looks again whenever a file changes, each time in a process of its own.

What building imports of the user's code stays in that process: the next one sees the code as it is then.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import typer

from sluicegate.cli.home import airflow_home
from sluicegate.discovery.code_digest import walk

__all__ = ["in_a_process", "keep_checking", "state_of"]

_INTERRUPTED = 130
_PAUSE = 0.5
"""Seconds between two looks at the times of the files."""


def keep_checking(once: Callable[[], int], folders: Sequence[Path]) -> NoReturn:
    """Check, wait for a change below `folders`, and check again, until Ctrl-C.

    :raises typer.Exit: when it is interrupted
    """
    with airflow_home():
        import sluicegate.factory.attempt  # noqa: F401 - every process starts with what all of them need
    try:
        while True:
            before = state_of(folders)
            in_a_process(once)
            typer.echo(f"-- {time.strftime('%H:%M:%S')}: checked; waiting for a change, Ctrl-C ends", err=True)
            while state_of(folders) == before:
                time.sleep(_PAUSE)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def state_of(folders: Iterable[Path]) -> frozenset[tuple[str, int, int]]:
    """What changes with any file below the folders; what is hidden or compiled does not count."""
    return frozenset(
        (path, status.st_mtime_ns, status.st_size)
        for folder in folders
        if folder.is_dir()
        for path, status in walk(folder)
    )


def in_a_process(work: Callable[[], int]) -> int:
    """Do `work` in a forked process, and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work()
        except typer.Exit as error:
            code = error.exit_code
        except KeyboardInterrupt:
            code = _INTERRUPTED
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
