"""What a task says of its cluster in the end: a result, or a fault with the end of the failed step's log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sluicegate.emr.connection import Aws
from sluicegate.emr.logs import read_tail, step_log_folder
from sluicegate.emr.verdict import ClusterStatus, StepStatus, complete, failed_step, verdict
from sluicegate.faults import FaultError
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["outcome"]

log = logging.getLogger(__name__)


def outcome(
    cluster: ClusterStatus,
    steps: Sequence[StepStatus],
    *,
    aws: Aws,
    max_runtime: timedelta,
    log_wait: timedelta,
) -> dict[str, Any]:
    """The result of a cluster that has done its work, as JSON; `seconds` is None while it is still ending.

    :raises FaultError: for one that has not. The failed step's log is in the task's log by then.
    """
    failed = None if complete(steps) else failed_step(steps)
    tail = _log_tail(cluster, failed, aws, log_wait) if failed is not None else ""
    found = verdict(cluster, steps, max_runtime=max_runtime, log_tail=tail)
    if found is not None:
        raise found
    lived = "" if cluster.seconds is None else f" in {format_duration(timedelta(seconds=round(cluster.seconds)))}"
    log.info("%s did its work%s", cluster.name, lived)
    return {
        "cluster_id": cluster.cluster_id,
        "name": cluster.name,
        "seconds": _rounded(cluster.seconds),
        "steps": [{"name": step.name, "state": step.state, "seconds": _rounded(step.seconds)} for step in steps],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _log_tail(cluster: ClusterStatus, failed: StepStatus, aws: Aws, wait: timedelta) -> str:
    """The end of the failed step's log, which is printed too; never raises, for it only explains."""
    if not cluster.log_uri:
        log.error("%s failed. Its log is lost: the cluster has no `log_uri`.", failed.name)
        return ""
    folder = step_log_folder(cluster.log_uri, cluster.cluster_id, failed.step_id)
    try:
        s3 = aws.client("s3", attempts=3)
    except FaultError as unread:
        log.error("%s failed. Its log is in %s, which cannot be read: %s", failed.name, folder, unread)
        return ""
    tail = read_tail(s3, folder, wait=wait.total_seconds())
    if not tail.text.strip():
        log.error("%s failed. Its log will be in %s", failed.name, folder)
    for name, text in (("stderr", tail.stderr), ("stdout", tail.stdout)):
        if text.strip():
            log.error("%s failed. The end of its %s (%s%s.gz):\n%s", failed.name, name, folder, name, text)
    return tail.text
