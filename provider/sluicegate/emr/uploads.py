"""The jobs of a step, uploaded: what `cluster_request` makes spark-submit commands of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sluicegate.checks.spark import spark_job
from sluicegate.emr import watchdog
from sluicegate.emr.artifacts import upload, upload_content
from sluicegate.emr.request import Submit
from sluicegate.emr.watchdog import Watchdog
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Job
from sluicegate.records.on_cluster import ClusterCheck, checked_folder, cluster_plan

__all__ = ["Uploads"]


@dataclass(frozen=True)
class Uploads:
    """Job files go to the S3 folder `artifacts`, under the hash of their content.

    :param s3: a boto3 S3 client
    :param root: the dags root
    """

    s3: Any
    root: Path
    artifacts: str

    def submits(
        self, jobs: Sequence[Job], checks: Sequence[ClusterCheck], writes: Mapping[str, str | Location]
    ) -> list[Submit]:
        """One for each job, and one for each check of what they write, which comes behind all jobs."""
        own = [Submit(upload(self.s3, j.path, root=self.root, artifacts=self.artifacts), j.args) for j in jobs]
        return [*own, *(self._check(check, writes[check.binding]) for check in checks)]

    def watchdog(self, not_after: datetime) -> Watchdog:
        """The deadline on the cluster itself."""
        uri = upload_content(self.s3, watchdog.SCRIPT.encode(), watchdog.FILE, artifacts=self.artifacts)
        return watchdog.Watchdog(uri, not_after)

    def _check(self, check: ClusterCheck, source: str | Location) -> Submit:
        [folder] = [source] if isinstance(source, str) else list(source)  # type: ignore[call-overload]
        job = upload_content(self.s3, spark_job().encode(), "check.py", artifacts=self.artifacts)
        plan = cluster_plan(check.options, self.root).encode()
        uploaded = upload_content(self.s3, plan, f"{check.load}.json", artifacts=self.artifacts)
        words = {"plan": uploaded, "source": str(folder), "to": checked_folder(str(folder), check.load)}
        return Submit(job, tuple(word for name, value in words.items() for word in (f"--{name}", value)), bound=False)
