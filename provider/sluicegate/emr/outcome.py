"""What a task says of its cluster in the end: a result, or a fault with the end of the logs that explain it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sluicegate.emr.connection import Aws
from sluicegate.emr.logs import LogTail, bootstrap_log_folder, driver_tail, read_tail, step_log_folder
from sluicegate.emr.usage import read_usage
from sluicegate.emr.verdict import ClusterStatus, StepStatus, complete, failed_step, verdict
from sluicegate.faults import FaultError, redact

__all__ = ["cluster_facts", "outcome"]

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

    :raises FaultError: for one that has not. What explains it is in the task's log by then.
    """
    if complete(steps):
        usage = read_usage(cluster, aws)
        log.info("%s did its work%s", cluster.name, "" if usage is None else f": {usage}")
        return {
            "cluster_id": cluster.cluster_id,
            "name": cluster.name,
            "seconds": _rounded(cluster.seconds),
            "steps": [{"name": step.name, "state": step.state, "seconds": _rounded(step.seconds)} for step in steps],
            "usage": None if usage is None else usage.as_json(),
        }
    failed = failed_step(steps)
    tails = _step_tails(cluster, failed, aws, log_wait) if failed else _bootstrap_tails(cluster, aws, log_wait)
    text = "\n".join(tail.text for tail in tails)
    status = tails[0].exit_status if tails else None
    found = verdict(cluster, steps, max_runtime=max_runtime, log_tail=text, exit_status=status)
    assert found is not None  # the work is not complete
    if (usage := read_usage(cluster, aws)) is not None:
        log.info("%s failed: %s", cluster.name, usage)
        found.facts["usage"] = usage.as_json()
    raise found


def cluster_facts(cluster: ClusterStatus, steps: Sequence[StepStatus], usage: object) -> dict[str, Any]:
    """What a receipt and the metrics say of a cluster that has ended, in JSON values."""
    found: dict[str, Any] = {"cluster_id": cluster.cluster_id, "name": cluster.name}
    found["seconds"] = _rounded(cluster.seconds)
    found["usage"] = usage
    return {"clusters": [found], "jobs": {step.name: _rounded(step.seconds) for step in steps}}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _step_tails(cluster: ClusterStatus, failed: StepStatus, aws: Aws, wait: timedelta) -> list[LogTail]:
    """The end of the failed step's log, then of its driver's where that is another one; shown in the task's log."""
    if not cluster.log_uri:
        log.error("%s failed. Its log is lost: the cluster has no `log_uri`.", failed.name)
        return []
    folder = step_log_folder(cluster.log_uri, cluster.cluster_id, failed.step_id)
    s3 = _s3(aws, failed.name, folder)
    if s3 is None:
        return []
    step = _shown(failed.name, read_tail(s3, folder, wait=wait.total_seconds()))
    driver = driver_tail(s3, cluster.log_uri, cluster.cluster_id, step)
    return [step] if driver is None else [step, _shown(f"The driver of {failed.name}", driver)]


def _bootstrap_tails(cluster: ClusterStatus, aws: Aws, wait: timedelta) -> list[LogTail]:
    folder = bootstrap_log_folder(cluster) if cluster.reason_code == "BOOTSTRAP_FAILURE" else None
    if folder is None or (s3 := _s3(aws, "A bootstrap action", folder)) is None:
        return []
    return [_shown("A bootstrap action", read_tail(s3, folder, wait=wait.total_seconds()))]


def _s3(aws: Aws, what: str, folder: str) -> Any:
    try:
        return aws.client("s3", attempts=3)
    except FaultError as unread:
        log.error("%s failed. Its log is in %s, which cannot be read: %s", what, folder, unread)
        return None


def _shown(what: str, tail: LogTail) -> LogTail:
    """`tail`, which is now in the task's log: in groups, which Airflow folds: the reason is in sight."""
    if not tail.files:
        log.error("%s failed. Its log will be in %s", what, tail.folder)
    for name, text in tail.files:
        log.error("::group::%s failed: the end of its %s (%s%s.gz)", what, name, tail.folder, name)
        log.error("%s", redact(text))
        log.error("::endgroup::")
    return tail
