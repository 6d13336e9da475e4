"""A command below a guardian (`guardian`): it ends with this process at the latest, and everything it started too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from sluicegate.local.aws import guardian

NO_LIMIT = ("0", "TERM", "0")


class Guarded:
    """Starts `command`; `limit` is the guardian's (seconds, signal, seconds until it kills)."""

    def __init__(
        self,
        command: Sequence[str],
        out: int | IO[bytes],
        err: int | IO[bytes],
        env: Mapping[str, str],
        cwd: Path,
        limit: tuple[str, str, str] = NO_LIMIT,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, *limit, *command],
            stdin=subprocess.PIPE,  # the guardian reads its end, kills what it started and goes
            stdout=out,
            stderr=err,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C on the terminal is the server's to handle
        )

    def stop(self) -> None:
        """Ends it soon; returns at once."""
        self._process.terminate()

    def wait(self) -> int:
        """The exit status: the guardian's (see there), or negative if that was killed itself."""
        try:
            status = self._process.wait()
            if status < 0:
                guardian.kill_session(self._process.pid)
            return status
        finally:
            if self._process.stdin:
                with suppress(OSError):
                    self._process.stdin.close()
