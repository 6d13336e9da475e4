"""What a step needs on its cluster, in S3 under its content's hash: jobs, packages, bootstrap actions, checks.

Given how a content gets its URI, so that what a file asks for can be seen without an S3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sluicegate.checks.spark import spark_job
from sluicegate.emr.artifacts import artifact_uri, read_job, split_s3, upload_content
from sluicegate.emr.packages import py_file
from sluicegate.emr.request import Command, Submit, as_property
from sluicegate.emr.watchdog import FILE, SCRIPT, Watchdog
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.steps import Job
from sluicegate.records.on_cluster import ClusterCheck, checked_folder, cluster_plan

__all__ = ["Uploads"]


@dataclass(frozen=True)
class Uploads:
    """`put`: from a name and a content to the URI under which a cluster finds it. `root`: the dags root."""

    put: Callable[[str, bytes], str]
    root: Path

    @classmethod
    def to(cls, s3: Any, artifacts: str, root: Path) -> Uploads:
        """Into the S3 folder `artifacts`, by a boto3 S3 client."""
        return cls(lambda name, content: upload_content(s3, content, name, artifacts=artifacts), root)

    @classmethod
    def imagined(cls, artifacts: str, root: Path) -> Uploads:
        """The URIs that they would have there; nothing is uploaded."""
        return cls(lambda name, content: artifact_uri(content, name, artifacts), root)

    def steps(
        self, jobs: Sequence[Job], checks: Sequence[ClusterCheck], writes: Mapping[str, str | Location]
    ) -> list[Submit | Command]:
        """One for each job, and one for each check of what they write, which comes behind all jobs."""
        return [*map(self._job, jobs), *(self._check(check, writes[check.binding]) for check in checks)]

    def bootstrap_actions(self, cluster: Cluster) -> dict[str, str]:
        """The URIs of the scripts, by their paths."""
        return {action.path: self._file(action.path) for action in cluster.bootstrap_actions}

    def _job(self, job: Job) -> Submit | Command:
        if not job.path:
            return Command(job.command, job.name or "")
        return Submit(self._file(job.path), job.args, options=self._options(job), name=job.name or "")

    def _options(self, job: Job) -> tuple[str, ...]:
        lists = {
            "py-files": [self._py_file(path) for path in job.py_files],
            "jars": [self._file(path) for path in job.jars],
            "files": [self._file(path) for path in job.files],
            "packages": list(job.packages),
        }
        words = [word for key, items in lists.items() if items for word in (f"--{key}", ",".join(items))]
        words += [word for key, value in job.conf.items() for word in ("--conf", f"{key}={as_property(value)}")]
        for name, value in job.options.items():
            words += [f"--{name}", *([] if value is True else [str(value)])] if value is not False else []
        return tuple(words)

    def _file(self, path: str) -> str:
        if "://" in path:
            split_s3(path)
            return path
        return self.put(PurePosixPath(path).name, read_job(path, self.root))

    def _py_file(self, path: str) -> str:
        return self._file(path) if "://" in path else self.put(*py_file(path, self.root))

    def watchdog(self, not_after: datetime) -> Watchdog:
        """The deadline on the cluster itself."""
        return Watchdog(self.put(FILE, SCRIPT.encode()), not_after)

    def _check(self, check: ClusterCheck, source: str | Location) -> Submit:
        [folder] = [source] if isinstance(source, str) else list(source)  # type: ignore[call-overload]
        job = self.put("check.py", spark_job().encode())
        plan = self.put(f"{check.load}.json", cluster_plan(check.options, self.root).encode())
        words = {"plan": plan, "source": str(folder), "to": checked_folder(str(folder), check.load)}
        return Submit(job, tuple(word for name, value in words.items() for word in (f"--{name}", value)), bound=False)
