"""What is wrong with the jobs of a spark step: keys that do not go together, packages, AWS's limits. Pure.

What only a run shows (how long a template becomes) is refused there, by `emr/limits.py`, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from sluicegate.pipeline.check.unsound import Unsound
from sluicegate.pipeline.diagnostics import did_you_mean
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.steps import Job

__all__ = ["MOST_STEPS", "MOST_WORDS", "PY_FILES", "job_errors", "too_many_steps", "too_many_words"]

MOST_WORDS = 10_240
"""Characters that the strings of a step's HadoopJarStep may have together, as AWS documents for AddJobFlowSteps."""
MOST_STEPS = 256
"""Steps that a cluster may have waiting or running."""
PY_FILES = (".py", ".zip", ".egg", ".whl")

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_PACKAGE = re.compile(r"[\w.-]+:[\w.-]+:[\w.+-]+")
_OPTIONS = (
    "archives", "class", "driver-class-path", "driver-cores", "driver-java-options", "driver-library-path",
    "driver-memory", "exclude-packages", "executor-cores", "executor-memory", "keytab", "num-executors", "principal",
    "properties-file", "queue", "repositories", "verbose",
)  # fmt: skip
_OURS = {
    "conf": "`conf` is a key of its own",
    "files": "`files` is a key of its own",
    "jars": "`jars` is a key of its own",
    "name": "`name` is a key of its own",
    "packages": "`packages` is a key of its own",
    "py-files": "`py_files` is a key of its own",
    "deploy-mode": "a job runs in client mode: its end and its output are those of EMR's step",
    "master": "a job runs on the cluster's YARN",
}
_ONLY_SPARK = ("args", "py_files", "jars", "files", "packages", "conf", "options")


def job_errors(jobs: Sequence[Job], cluster: Cluster) -> Iterator[Unsound]:
    if len(jobs) > MOST_STEPS:
        yield Unsound((), too_many_steps(len(jobs)))
    if any(job.path for job in jobs) and "spark" not in {name.lower() for name in cluster.applications}:
        yield Unsound((), "the cluster's `applications` do not have Spark, and this is a Spark job: add it there")
    for index, job in enumerate(jobs):
        yield from (wrong._replace(where=(index, *wrong.where)) for wrong in _job(job))


def too_many_steps(count: int) -> str:
    return f"EMR takes {MOST_STEPS} steps in a cluster, not {count}: put several jobs into one, or use more steps"


def too_many_words(what: str, length: int) -> str:
    remedy = "write them to a file in S3 and pass its URI, or pass a folder in place of its files"
    return f"{what} have {length:,} characters, and EMR takes {MOST_WORDS:,} in all arguments of a job: {remedy}"


def _job(job: Job) -> Iterator[Unsound]:
    if job.command and job.path:
        yield Unsound(("command",), "a job is a file (`path`) or a `command`, not both: make two jobs of it", key=True)
    elif job.command:
        for key in _ONLY_SPARK:
            if getattr(job, key):
                yield Unsound((key,), f"`{key}` is for a spark-submit, and this is a `command`: put it there", key=True)
    elif not job.path:
        yield Unsound(("command",), "expected the words of a command: `command: [s3-dist-cp, --src, …]`")
    elif _torn(job.path):
        yield Unsound(("path",), _TORN)
    if job.command and not job.command[0].strip():
        yield Unsound(("command", 0), "expected the name of a command")
    length = sum(len(_TEMPLATE.sub("", word)) for word in (*job.args, *job.command))
    if length > MOST_WORDS:
        key = "command" if job.command else "args"
        yield Unsound((key,), too_many_words(f"`{key}`", length))
    yield from _uploads(job)
    for index, package in enumerate(job.packages):
        if not _PACKAGE.fullmatch(package):
            message = "expected <group>:<artifact>:<version>, such as org.apache.spark:spark-avro_2.12:3.5.6"
            yield Unsound(("packages", index), f"{message}, not {package!r}")
    yield from _options(job)


def _uploads(job: Job) -> Iterator[Unsound]:
    for key in ("py_files", "jars", "files"):
        paths: Sequence[str] = getattr(job, key)
        names = [_name(path, key) for path in paths]
        for index, (path, name) in enumerate(zip(paths, names, strict=True)):
            if "," in path:
                yield Unsound((key, index), "spark-submit separates these by commas: rename what has one in its name")
            elif _torn(path):
                yield Unsound((key, index), _TORN)
            elif name in names[:index]:
                yield Unsound((key, index), f"two of these are called {name}, and only one would be there: rename one")
    for index, path in enumerate(job.py_files):
        suffix = PurePosixPath(path).suffix
        if suffix == ".whl" and not path.endswith("-none-any.whl"):
            message = "compiled code cannot be imported out of a wheel: install it by one of `bootstrap_actions`"
            yield Unsound(("py_files", index), message)
        elif "://" in path and suffix in ("", ".whl"):
            what = "wheel" if suffix else "folder"
            message = f"Spark's executors import from no {what} in S3: put it there as a .zip, or below the dags root"
            yield Unsound(("py_files", index), message)
        elif suffix and suffix not in PY_FILES:
            yield Unsound(("py_files", index), f"expected a folder or one of {', '.join(PY_FILES)}, not {path!r}")


def _name(path: str, key: str) -> str:
    """What the file is called on the cluster: folders and wheels below the dags root become a `.zip`."""
    name = PurePosixPath(path)
    if key != "py_files" or "://" in path or name.suffix in (".py", ".zip", ".egg"):
        return name.name
    return f"{name.stem if name.suffix == '.whl' else name.name}.zip"


def _torn(path: str) -> bool:
    return bool(re.search(r"\s", _TEMPLATE.sub("", path)))


_TORN = "spark-submit takes this for a URI, in which there is no space: rename what has one in its name"


def _options(job: Job) -> Iterator[Unsound]:
    for name, value in job.conf.items():
        if not isinstance(value, str | int | float):
            yield Unsound(("conf", name), "expected text, a number, true or false")
    for name, value in job.options.items():
        at = ("options", name)
        if name in _OURS:
            yield Unsound(at, f"{_OURS[name]}: leave this out", key=True)
        elif name not in _OPTIONS:
            meant = did_you_mean(name, _OPTIONS)
            message = f"spark-submit has no option --{name}" + (f": did you mean {meant}?" if meant else "")
            yield Unsound(at, message, key=True)
        elif (name == "verbose") != isinstance(value, bool) or not isinstance(value, str | int | float):
            yield Unsound(at, "expected true or false" if name == "verbose" else "expected text or a number")
