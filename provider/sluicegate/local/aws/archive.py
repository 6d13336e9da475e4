"""Starts Spark in half the time: an archive of its classes (Java's class data sharing), made once for each machine.

The JVM spends most of a short job on reading and verifying 14,000 classes out of 250 jars. The first job that used
Spark SQL leaves a list of what it loaded; a process of the lowest priority makes an archive of it, and each later JVM
maps that. Nothing depends on it: an archive that does not fit the JVM or the jars is ignored by Java itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from sluicegate.local.aws.guarded import Guarded

log = logging.getLogger(__name__)

SMALL_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
KEPT = 3
"""Archives that stay, of 150 MB each; the one that was made first goes."""

_OLDEST_JAVA = 17
_DRAFT = "draft-"
_RELEASE = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)
# Without them a job has not come far enough to be an example for others.
_EXAMPLE = "\norg/apache/spark/sql/execution/SparkPlan\n"
# What spark-submit starts first, to find out how to start Spark.
_LAUNCHER = ("Main", "AbstractCommandBuilder", "SparkSubmitCommandBuilder", "CommandBuilderUtils")


class Archives:
    """The archives in `folder`, which need not exist. `close` ends what is being made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._making: Guarded | None = None
        self._closed = False
        self._gave_up = False

    def find(self, java: Path, spark: Path) -> Path | None:
        """The archive for this Java's home and this Spark's, whole; None if there is none yet."""
        for path in self._folder.glob(f"{_digest(java, spark)}.*.jsa"):
            # A truncated one would end the JVM, so its size is in its name.
            if path.stat().st_size == int(path.suffixes[-2][1:]):
                return path
        return None

    def can_make(self, java: Path) -> bool:
        """Whether a list of classes is wanted of a job on this Java."""
        return not (self._gave_up or self._closed or self._making) and _version(java) >= _OLDEST_JAVA

    def make(self, java: Path, spark: Path, classes: Path) -> threading.Thread | None:
        """Begins to make the archive of the classes that a JVM has listed; None where that is nothing to begin with."""
        try:
            listed = classes.read_text()
        except OSError:
            return None
        with self._lock:
            if not self.can_make(java) or _EXAMPLE not in listed:
                return None
            thread = threading.Thread(target=self._make, args=(java, spark, listed), name="archive", daemon=True)
            thread.start()
            return thread

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._making:
                self._making.stop()

    def _make(self, java: Path, spark: Path, listed: str) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # another server may be making the same
                for left in self._folder.glob(f"{_DRAFT}*"):  # by a server that ended meanwhile
                    shutil.rmtree(left, ignore_errors=True)
                if self.find(java, spark) is None:
                    with tempfile.TemporaryDirectory(dir=self._folder, prefix=_DRAFT) as work:
                        self._dump(java, spark, listed, Path(work))
                    self._remove_old()
        except (OSError, ValueError) as error:
            self._gave_up = True
            log.info("No archive of Spark's classes is made: %s", error)

    def _dump(self, java: Path, spark: Path, listed: str, work: Path) -> None:
        classes, draft = work / "classes", work / "draft"
        classes.write_text(_shared(listed))
        command = [
            *("nice", "-n", "19", str(java / "bin" / "java"), "-Xshare:dump", "-Xmx512m", *SMALL_JVM, "-Xlog:cds=off"),
            *(f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={draft}"),
            *("-cp", f"{spark}/conf/:{spark}/jars/*"),  # as spark-submit has it: an archive is for one class path
        ]
        with self._lock:
            if self._closed:
                return
            self._making = Guarded(command, subprocess.DEVNULL, subprocess.DEVNULL, {"PATH": os.defpath}, work)
        try:
            status = self._making.wait()
        finally:
            self._making = None
        if self._closed:
            return
        if status:
            raise ValueError(f"java -Xshare:dump ended with exit status {status}")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(self._folder / f"{_digest(java, spark)}.{draft.stat().st_size}.jsa")
        log.info("Spark's classes are archived in %s: jobs start faster from now on", self._folder)

    def _remove_old(self) -> None:
        found = sorted(self._folder.glob("*.jsa"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[KEPT:]:
            path.unlink(missing_ok=True)


def _version(java: Path) -> int:
    with suppress(OSError):
        found = _RELEASE.search((java / "release").read_text())
        return int(found[1]) if found else 0
    return 0


def _digest(java: Path, spark: Path) -> str:
    jars = sorted(path.name for path in (spark / "jars").glob("*.jar"))
    release = (java / "release").read_text() if (java / "release").exists() else ""
    return hashlib.sha256("\n".join([str(java), release, str(spark), *jars]).encode()).hexdigest()[:16]


def _shared(listed: str) -> str:
    """The list without the classes of a job's own jars, which have another loader and may be gone."""
    lines = [line for line in listed.splitlines() if " source: " not in line]
    return "\n".join([*lines, *(f"org/apache/spark/launcher/{name}" for name in _LAUNCHER)]) + "\n"
