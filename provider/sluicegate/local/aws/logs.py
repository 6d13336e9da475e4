"""A step's logs: plain files that grow while it runs, then gzipped below the cluster's LogUri as EMR does.

Also reads out of them what EMR calls the step's FailureDetails.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.local.aws.clusters import Failure
from sluicegate.local.aws.objects import Objects, S3Error, chunks_of

NAMES = ("controller", "stdout", "stderr")
_TAIL = 256 * 1024
_LOG_URI = re.compile(r"s3[an]?://([^/]+)/?(.*)")
_TRACEBACK = "Traceback (most recent call last):"
_PYTHON_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Exit|Interrupt)(?::.*)?$", re.MULTILINE)
_JAVA_ERROR = re.compile(r"^(?:Exception in thread .*|Error: .*|[\w.$]+(?:Exception|Error): .*)$", re.MULTILINE)
# What Hadoop says of a bucket that has no folder.
_NO_BUCKET = re.compile(r"Could not initialize target File System for URI : s3[an]?://([^/\s]+)")


class StepLogs:
    """The three log files of one step, in `folder` (made if missing)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            self.path(name).touch()

    def path(self, name: str) -> Path:
        return self.folder / name

    def note(self, text: str) -> None:
        """A line in the controller's log, with the time."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        with self.path("controller").open("a") as file:
            file.write(f"{now}Z INFO {text}\n")

    def say(self, name: str, text: str) -> None:
        with self.path(name).open("a") as file:
            file.write(text + "\n")

    def publish(self, objects: Objects, uri: str) -> None:
        """Puts the three below `uri` as `<name>.gz`; raises S3Error, as where the bucket is missing."""
        found = _LOG_URI.fullmatch(uri)
        if not found:
            raise S3Error("InvalidArgument", f"LogUri is not an s3:// URI: {uri}")
        for name in NAMES:
            with tempfile.NamedTemporaryFile(suffix=".gz") as packed:
                with (
                    self.path(name).open("rb") as source,
                    gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as target,
                ):
                    shutil.copyfileobj(source, target)
                packed.flush()
                objects.put(found[1], f"{found[2]}/{name}.gz".lstrip("/"), chunks_of(Path(packed.name)))

    def failure(self, status: int, uri: str | None) -> Failure:
        """Why the step failed, as far as its output says."""
        message, name = explain(_tail(self.path("stdout")), _tail(self.path("stderr")))
        message = message or f"The command ended with exit status {status} and said nothing of why."
        return Failure("Unknown Error.", message[:1000], f"{uri}/{name}.gz" if uri else None)


def explain(stdout: str, stderr: str) -> tuple[str | None, str]:
    """(the error, the log it is in): a Python traceback's last line, else the JVM's own."""
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if missing := _NO_BUCKET.search(text):
            return f"NoSuchBucket: The specified bucket does not exist: {missing[1]}", name
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if found := _python_error(text):
            return found, name
    lines = _JAVA_ERROR.findall(stderr)
    return (lines[-1] if lines else None), "stderr"


def _python_error(text: str) -> str | None:
    _, traceback, after = text.rpartition(_TRACEBACK)
    if traceback:
        lines = [line for line in after.splitlines()[1:] if line and not line[0].isspace()]
        # py4j puts the JVM's own error on a line of its own, which begins with a colon.
        cause = lines[1] if lines[1:] and lines[1].startswith(": ") else ""
        return lines[0] + cause if lines else None
    syntax = [line for line in _PYTHON_ERROR.findall(text) if "SyntaxError" in line or "IndentationError" in line]
    return syntax[-1] if syntax else None


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read().decode(errors="replace")
