"""Carries out the steps of clusters: a step -> a command -> a guarded process -> its logs.

Which command a step becomes is the `builder`'s matter (Spark's is `SparkBuilder`): this needs no Spark.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from sluicegate.local.aws import guardian
from sluicegate.local.aws.archive import Archives
from sluicegate.local.aws.clusters import Cluster, Failure, Json, Step
from sluicegate.local.aws.deadline import split_deadline
from sluicegate.local.aws.errors import StepRejectedError
from sluicegate.local.aws.guarded import NO_LIMIT, Guarded
from sluicegate.local.aws.logs import StepLogs
from sluicegate.local.aws.objects import Objects, S3Error
from sluicegate.local.aws.spark import (
    Command,
    Place,
    bucket_of,
    java_home,
    local_command,
    parse,
    plain_command,
    spark_home,
)
from sluicegate.local.aws.step_runner import Cancellation

Builder = Callable[[Cluster, Step, Path], Command]
"""(cluster, step, work folder) -> command; raises StepRejectedError."""

CLASSES = "classes"
"""In a step's work folder: what its JVM loaded."""

_WATCHDOG = "sluicegate-deadline"

_IGNORED_REQUESTS = {
    "BootstrapActions": "bootstrap actions",
    "ManagedScalingPolicy": "managed scaling",
    "CustomAmiId": "the custom AMI",
    "SecurityConfiguration": "the security configuration",
    "StepConcurrencyLevel": "the step concurrency level (steps run one at a time)",
}


class GuardedRunner:
    """A `StepRunner`: each step is a process below a guardian, and ends with this process at the latest.

    `logs` gets `<cluster>/<step>/{controller,stdout,stderr}`; `work` holds a folder for each running step.
    """

    def __init__(self, objects: Objects, logs: Path, work: Path, builder: Builder) -> None:
        self._objects = objects
        self._logs = logs
        self._work = work
        self._builder = builder
        shutil.rmtree(work, ignore_errors=True)  # of steps that a killed server was running
        work.mkdir(parents=True)

    def prepare(self, cluster: Cluster) -> None:
        folder = self._logs / cluster.id
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, cluster: Cluster, step: Step, cancellation: Cancellation, fails: bool = False) -> Failure | None:
        logs = StepLogs(self._logs / cluster.id / step.id)
        uri = log_uri(cluster, step)
        work = self._work / step.id
        (work / "tmp").mkdir(parents=True, exist_ok=True)
        try:
            build = _failing if fails else self._builder
            failure = self._execute(build, cluster, step, cancellation, logs, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if uri:
            try:
                logs.publish(self._objects, uri)
            except S3Error as error:
                logs.note(f"The logs are not in S3 ({error.message}); they are in {logs.folder}")
        return failure

    def _execute(
        self,
        build: Builder,
        cluster: Cluster,
        step: Step,
        cancellation: Cancellation,
        logs: StepLogs,
        work: Path,
    ) -> Failure | None:
        uri = log_uri(cluster, step)
        logs.note(f"Step {step.id} ({step.name}) of cluster {cluster.id} ({cluster.name})")
        for text in ignored_requests(cluster.request):
            logs.note(f"ignored here: {text}")
        try:
            command = build(cluster, step, work)
        except (StepRejectedError, S3Error) as error:
            text = str(error) if isinstance(error, StepRejectedError) else f"{error.code}: {error.message}"
            logs.note(f"Not started: {text}")
            logs.say("stderr", text)
            return Failure("Unknown Error.", text, f"{uri}/stderr.gz" if uri else None)
        for text in command.notes:
            logs.note(text)
        logs.note(f"startExec {' '.join(command.argv)!r}")
        status = self._guarded(command, logs, cancellation)
        logs.note(f"waitProcessCompletion ended with exit code {status}")
        if status == 0:
            command.succeeded()
            return None
        if command.deadline and status in (guardian.TIMED_OUT, guardian.KILLED):
            seconds = f"{command.deadline.seconds:g} s"
            text = f"The command was stopped after its time limit of {seconds} (exit {status})"
            logs.say("stderr", text)
            return Failure("Unknown Error.", text, f"{uri}/stderr.gz" if uri else None)
        return logs.failure(status, uri)

    def _guarded(self, command: Command, logs: StepLogs, cancellation: Cancellation) -> int:
        limit = command.deadline
        timing = (f"{limit.seconds}", limit.signal, f"{limit.kill_after}") if limit else NO_LIMIT
        with logs.path("stdout").open("ab") as out, logs.path("stderr").open("ab") as err:
            process = Guarded(command.argv, out, err, command.env, command.cwd, timing)
        cancellation.on_request(process.stop)
        try:
            return process.wait()
        finally:
            cancellation.on_request(None)


@dataclass(frozen=True)
class SparkBuilder:
    """A `Builder` for `command-runner.jar`: a spark-submit or any command, with or without `timeout …` before it."""

    objects: Objects
    cores: int = 2
    memory: str = "1g"
    env: dict[str, str] = field(default_factory=dict)
    """What a job finds in its environment besides Spark's own, such as the endpoint for boto3."""
    archives: Archives | None = None

    def __call__(self, cluster: Cluster, step: Step, work: Path) -> Command:
        if step.jar.rpartition("/")[2] != "command-runner.jar":
            raise StepRejectedError(f"The local EMR runs command-runner.jar only, not the jar {step.jar!r}.")
        deadline, args = split_deadline(step.args)
        if not args:
            raise StepRejectedError("command-runner.jar: there is no command to run")
        for bucket in filter(None, map(bucket_of, args)):
            self.objects.prepare_bucket(bucket)
        place = Place(
            work=work,
            buckets={name: self.objects.bucket(name) for name in self.objects.buckets()},
            cores=self.cores,
            memory=self.memory,
            defaults=spark_defaults(cluster.request),
            env=self.env,
        )
        if args[0].rpartition("/")[2] != "spark-submit":
            return replace(plain_command(args, place), deadline=deadline)
        files = work / "files"
        command = local_command(parse(args[1:]), self._with_archive(place), lambda uri: self._fetch(uri, files))
        classes = work / CLASSES
        return replace(command, deadline=deadline, succeeded=lambda: self._make_archive(classes))

    def _with_archive(self, place: Place) -> Place:
        if self.archives is None:
            return place
        java = java_home()
        archive = self.archives.find(java, spark_home())
        if archive is None and self.archives.can_make(java):
            return replace(place, classes=place.work / CLASSES)
        return replace(place, archive=archive)

    def _make_archive(self, classes: Path) -> None:
        if self.archives:
            self.archives.make(java_home(), spark_home(), classes)

    def _fetch(self, uri: str, folder: Path) -> str:
        """An `s3://` file as a local path; anything else as it is. Raises S3Error."""
        bucket = bucket_of(uri)
        if bucket is None:
            return uri
        key, hash_sign, alias = uri.partition("://")[2].partition("/")[2].partition("#")
        source, info = self.objects.open(bucket, key)
        with source:
            # By content, so that two files of one name from two folders do not meet.
            target = folder / info.etag / key.rpartition("/")[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        return f"{target}{hash_sign}{alias}"


def _failing(cluster: Cluster, step: Step, work: Path) -> Command:
    """What runs in a step's place that is to fail."""
    words = "echo 'RuntimeError: chaos: this step fails on purpose' >&2; exit 1"
    return Command(("/bin/sh", "-c", words), {"PATH": os.defpath}, work, notes=("chaos: the step is not run",))


def log_uri(cluster: Cluster, step: Step) -> str | None:
    """Where EMR puts the step's logs: `<LogUri>/<cluster>/steps/<step>`."""
    base = cluster.request.get("LogUri")
    return f"{str(base).rstrip('/')}/{cluster.id}/steps/{step.id}" if base else None


def _asked(request: Json, name: str) -> bool:
    """Whether there is something to ignore, apart from the watchdog, which nearly every cluster has."""
    value = request.get(name)
    if name == "BootstrapActions":
        return any(action.get("Name") != _WATCHDOG for action in cast("list[Json]", value or []))
    return bool(value)


def ignored_requests(request: Json) -> list[str]:
    """What a RunJobFlow asks for that means nothing here."""
    said = [text for name, text in _IGNORED_REQUESTS.items() if _asked(request, name)]
    names = [app.get("Name", "") for app in cast("list[dict[str, str]]", request.get("Applications") or [])]
    others = [name for name in names if name not in ("Spark", "Hadoop")]
    if others:
        said.append(f"the applications {', '.join(others)}")
    classes = [str(item.get("Classification")) for item in _configurations(request)]
    others = [name for name in classes if name != "spark-defaults"]
    if others:
        said.append(f"the configurations {', '.join(others)}")
    return [*said, "instance types, counts, networks and roles: everything runs on this machine"]


def spark_defaults(request: Json) -> dict[str, str]:
    """The properties of the cluster's `spark-defaults` classification."""
    found: dict[str, str] = {}
    for item in _configurations(request):
        if item.get("Classification") == "spark-defaults":
            found |= cast("dict[str, str]", item.get("Properties") or {})
    return found


def _configurations(request: Json) -> list[Json]:
    return cast("list[Json]", request.get("Configurations") or [])
