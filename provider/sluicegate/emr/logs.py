"""The end of the logs that say why a step or a bootstrap action failed.

EMR uploads logs late, so this waits for them, but not for long. Never raises: a log explains a failure and must not
hide it.
"""

from __future__ import annotations

import gzip
import logging
import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from sluicegate.emr.artifacts import split_s3
from sluicegate.emr.verdict import ClusterStatus

__all__ = ["LogTail", "bootstrap_log_folder", "driver_tail", "read_tail", "step_log_folder"]

log = logging.getLogger(__name__)

_FILES = ("stdout", "stderr")
_LINES = {"stdout": 80, "stderr": 40, "controller": 20}
"""In client mode the driver's traceback is in stdout; stderr is Spark's own log."""
_LONGEST_LINE = 2000
_SETTLE = 10.0
"""Seconds that the second file gets after the first has come."""

_OLD_SCHEME = re.compile(r"^s3[an]://")
_TRACEBACK = "Traceback (most recent call last):"
_EXIT_STATUS = re.compile(r"exit ?code (-?\d+)", re.IGNORECASE)
_IN_CLUSTER_MODE = re.compile(r"Application (application_\d+_\d+) (?:finished with failed|failed \d+ times)")
_DRIVER = re.compile(r"/container_\w+_000001/(?:stdout|stderr)\.gz$")
_INSTANCE = re.compile(r"\((?:including )?(i-[0-9a-f]+)")
_ACTION = re.compile(r"bootstrap action (\d+)")


@dataclass(frozen=True)
class LogTail:
    """The last lines of `stdout` and `stderr` in a folder; empty where there is none. `folder` is an S3 URI.

    `exit_status` is what the command ended with, where the controller's log says so.
    """

    folder: str
    stdout: str = ""
    stderr: str = ""
    exit_status: int | None = None

    @property
    def text(self) -> str:
        """Both texts, the one that holds the traceback last."""
        return "\n".join(text for _, text in self.files)

    @property
    def files(self) -> list[tuple[str, str]]:
        """Name and text of what there is, the one that holds the traceback last."""
        found = [(name, text) for name, text in (("stderr", self.stderr), ("stdout", self.stdout)) if text.strip()]
        return sorted(found, key=lambda file: _TRACEBACK in file[1])


def step_log_folder(log_uri: str, cluster_id: str, step_id: str) -> str:
    """Where EMR puts `controller.gz`, `stdout.gz` and `stderr.gz` of a step."""
    return f"{_cluster_logs(log_uri, cluster_id)}steps/{step_id}/"


def bootstrap_log_folder(cluster: ClusterStatus) -> str | None:
    """Where EMR puts the logs of the bootstrap action that failed; None when it does not say which, and where."""
    instance = cluster.error_data.get("primary-instance-id") or _first(_INSTANCE, cluster.message)
    action = cluster.error_data.get("bootstrap-action") or _first(_ACTION, cluster.message)
    if not (cluster.log_uri and instance and action):
        return None
    return f"{_cluster_logs(cluster.log_uri, cluster.cluster_id)}node/{instance}/bootstrap-actions/{action}/"


def read_tail(
    s3: Any,
    folder: str,
    *,
    wait: float,
    pause: float = 3.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> LogTail:
    """The end of the logs in `folder`, waiting up to `wait` seconds for them.

    :param s3: a boto3 S3 client
    """
    tails: dict[str, str] = {}
    until = clock() + wait
    while True:
        before = len(tails)
        try:
            for name in _FILES:
                if name not in tails and (found := _tail(s3, f"{folder}{name}.gz", _LINES[name])) is not None:
                    tails[name] = found
        except Exception as error:
            log.warning("The log cannot be read from %s: %s", folder, error)
            return LogTail(folder, tails.get("stdout", ""), tails.get("stderr", ""))
        if len(tails) == len(_FILES) or clock() >= until:
            return LogTail(folder, tails.get("stdout", ""), tails.get("stderr", ""), _exit_status(s3, folder))
        if tails and not before:
            until = min(until, clock() + _SETTLE)
        sleep(pause)


def driver_tail(s3: Any, log_uri: str, cluster_id: str, step: LogTail) -> LogTail | None:
    """The end of the driver's own logs, which are in YARN's container when a job ran in cluster mode.

    None for a job in client mode, whose logs are the step's, and where the container's are not there.
    """
    application = _first(_IN_CLUSTER_MODE, step.stderr)
    if application is None:
        return None
    folder = f"{_cluster_logs(log_uri, cluster_id)}containers/{application}/"
    try:
        bucket, prefix = split_s3(folder)
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        drivers = sorted(entry["Key"].rpartition("/")[0] for entry in listed if _DRIVER.search("/" + entry["Key"]))
    except Exception as error:
        log.warning("The driver's log cannot be found below %s: %s", folder, error)
        return None
    # An application that YARN tried twice has two: the last attempt is the one that counts.
    return read_tail(s3, f"s3://{bucket}/{drivers[-1]}/", wait=0) if drivers else None


def _cluster_logs(log_uri: str, cluster_id: str) -> str:
    """EMR gives its LogUri back as `s3n://`, under which no other tool finds it."""
    return f"{_OLD_SCHEME.sub('s3://', log_uri).rstrip('/')}/{cluster_id}/"


def _lines(unpacked: gzip.GzipFile) -> Iterator[bytes]:
    """Its lines, without what is beyond `_LONGEST_LINE`: one that never ends would not fit into memory."""
    while line := unpacked.readline(_LONGEST_LINE):
        yield line
        while line and not line.endswith(b"\n"):
            line = unpacked.readline(_LONGEST_LINE)


def _exit_status(s3: Any, folder: str) -> int | None:
    try:
        controller = _tail(s3, f"{folder}controller.gz", _LINES["controller"]) or ""
    except Exception:
        return None
    found = _EXIT_STATUS.findall(controller)
    return int(found[-1]) if found else None


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


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
            for line in _lines(unpacked):
                last.append(line.decode("utf-8", "replace").rstrip("\r\n"))
    except (EOFError, gzip.BadGzipFile, zlib.error) as torn:
        last.append(f"[the rest of {uri} cannot be unpacked: {torn}]")
    return "\n".join(last)
