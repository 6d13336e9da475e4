"""What a person sees of a cluster in the end: its log, the reason, what it used, and links to it."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.faults import FatalFault, FaultError

BOOTSTRAP = "On the master instance (i-0a1), bootstrap action 1 returned a non-zero return code"


def ended(aws: Any, task: Any, fired: Any, end: Any) -> tuple[str, Any]:
    """The cluster, and how its task ended: with a result or with a fault."""
    deferred = task.execute()
    (cluster_id,) = aws.live()
    end(cluster_id)
    try:
        return cluster_id, task.resume(deferred, fired(deferred))
    except FaultError as found:
        return cluster_id, found


def test_the_result_says_what_the_cluster_used(
    aws: Any, task: Any, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, result = ended(aws, task, fired, aws.finish)
    used = result["usage"]
    assert used["cluster_seconds"] == result["seconds"]
    assert list(used["instance_hours"]) == ["on_demand"]
    assert [(some["type"], some["count"]) for some in used["machines"]] == [("m7g.xlarge", 3)]
    assert "did its work: the cluster lived" in caplog.text
    assert aws.calls.count("ListInstances") == 1


def test_the_fault_says_what_the_cluster_used_too(aws: Any, task: Any, fired: Any) -> None:
    _, found = ended(aws, task, fired, aws.fail_step)
    assert found.facts["usage"]["machines"][0]["count"] == 3
    assert task.store["last_error"]["facts"]["usage"] == found.facts["usage"]


def test_the_reason_is_the_last_word_behind_the_folded_logs(
    aws: Any, task: Any, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(cluster_id: str) -> None:
        aws.fail_step(cluster_id, stdout="so far\nRuntimeError: no flights", stderr="\n".join(["INFO x"] * 100))

    ended(aws, task, fired, fail)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [line.split(" (")[0] for line in errors] == [
        "::group::delays.py failed: the end of its stderr",
        "\n".join(["INFO x"] * 40),
        "::endgroup::",
        "::group::delays.py failed: the end of its stdout",
        "so far\nRuntimeError: no flights",
        "::endgroup::",
        "SPARK_STEP_FAILED",
    ]
    assert "what happened: delays.py: RuntimeError: no flights\n" in errors[-1]
    assert caplog.text.count("RuntimeError: no flights") == 2


def test_a_secret_that_a_job_has_printed_is_not_shown_again(
    aws: Any, task: Any, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    said = "connecting to postgresql://etl:hunter2@db/books password=hunter3\nRuntimeError: no flights"
    ended(aws, task, fired, lambda cluster_id: aws.fail_step(cluster_id, stdout=said))
    assert "connecting to postgresql://etl:***@db/books" in caplog.text
    assert "hunter" not in caplog.text


def test_the_log_of_a_failed_bootstrap_action_is_shown(
    aws: Any, task: Any, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(cluster_id: str) -> None:
        aws.s3.put(f"s3://logs/emr/{cluster_id}/node/i-0a1/bootstrap-actions/1/stderr.gz", "No package psycopg")
        aws.end(cluster_id, "TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", BOOTSTRAP)

    _, found = ended(aws, task, fired, fail)
    assert isinstance(found, FatalFault)
    assert found.code == "CLUSTER_BOOTSTRAP_FAILED"
    assert "No package psycopg" in caplog.text


@pytest.mark.parametrize("end", ["finish", "fail_step"])
def test_a_task_has_links_while_it_waits_and_after_it_has_ended(aws: Any, task: Any, fired: Any, end: str) -> None:
    deferred = task.execute()
    (cluster_id,) = aws.live()
    assert f"emr%2F{cluster_id}%2Fsteps%2F&" in task.operator.links["Step log"]
    getattr(aws, end)(cluster_id)
    try:
        task.resume(deferred, fired(deferred))
    except FaultError:
        assert end == "fail_step"
    assert f"/logs/emr/{cluster_id}/steps/s-{cluster_id}-0/stdout.gz?" in task.operator.links["Step log"]
