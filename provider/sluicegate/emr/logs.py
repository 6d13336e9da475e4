"""The end of a failed step's log. EMR uploads logs late, so this waits for them, but not for long."""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from sluicegate.emr.artifacts import split_s3

__all__ = ["LogTail", "read_tail", "step_log_folder"]

log = logging.getLogger(__name__)

_FILES = ("stdout", "stderr")
_LINES = {"stdout": 80, "stderr": 40}
"""In client mode the driver's traceback is in stdout; stderr is Spark's own log."""
_LONGEST_LINE = 2000
_SETTLE = 10.0
"""Seconds that the second file gets after the first has come."""


@dataclass(frozen=True)
class LogTail:
    """The last lines of a step's `stdout` and `stderr`; empty where there is none. `folder` is an S3 URI."""

    folder: str
    stdout: str = ""
    stderr: str = ""

    @property
    def text(self) -> str:
        """Both texts, the one that holds the traceback last."""
        return "\n".join(part for part in (self.stderr, self.stdout) if part)


def step_log_folder(log_uri: str, cluster_id: str, step_id: str) -> str:
    """Where EMR puts `controller.gz`, `stdout.gz` and `stderr.gz` of a step."""
    return f"{log_uri.rstrip('/')}/{cluster_id}/steps/{step_id}/"


def read_tail(
    s3: Any,
    folder: str,
    *,
    wait: float,
    pause: float = 3.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> LogTail:
    """The end of the logs in `folder`, waiting up to `wait` seconds for them. Never raises: a log explains
    a failure and must not hide it.

    :param s3: a boto3 S3 client
    """
    tails: dict[str, str] = {}
    until = clock() + wait
    while True:
        before = len(tails)
        for name in _FILES:
            if name in tails:
                continue
            try:
                found = _tail(s3, f"{folder}{name}.gz", _LINES[name])
            except Exception as error:
                log.warning("The step's log cannot be read from %s: %s", folder, error)
                return LogTail(folder, **tails)
            if found is not None:
                tails[name] = found
        if len(tails) == len(_FILES) or clock() >= until:
            return LogTail(folder, **tails)
        if tails and not before:
            until = min(until, clock() + _SETTLE)
        sleep(pause)


def _tail(s3: Any, uri: str, lines: int) -> str | None:
    """The last lines of one gzipped object, read as a stream; None while it is not there."""
    bucket, key = split_s3(uri)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    last: deque[str] = deque(maxlen=lines)
    try:
        with gzip.open(cast("BinaryIO", body)) as unpacked:
            for line in unpacked:
                last.append(line.decode("utf-8", "replace").rstrip("\r\n")[:_LONGEST_LINE])
    except (EOFError, gzip.BadGzipFile, zlib.error) as torn:
        last.append(f"[the rest of {uri} cannot be unpacked: {torn}]")
    return "\n".join(last)
