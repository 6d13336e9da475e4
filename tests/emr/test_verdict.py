from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.verdict import ClusterStatus, StepStatus, verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def cluster(reason: str, **more: Any) -> ClusterStatus:
    return ClusterStatus("j-1", "d-p-0-a1", "TERMINATED_WITH_ERRORS", reason, **more)


def step(state: str, *, seconds: float = 10, **more: Any) -> StepStatus:
    return StepStatus("s-1", "a.py", state, started=START, ended=START + timedelta(seconds=seconds), **more)


def code(found: object) -> str:
    return getattr(found, "code", "ok")


@pytest.mark.parametrize("reason", ["ALL_STEPS_COMPLETED", "USER_REQUEST", "INSTANCE_FAILURE", ""])
def test_work_that_is_done_is_done_however_the_cluster_ended(reason: str) -> None:
    assert verdict(cluster(reason), [step("COMPLETED"), step("COMPLETED")], max_runtime=HOUR) is None


def test_a_cluster_without_steps_has_done_nothing() -> None:
    assert code(verdict(cluster("ALL_STEPS_COMPLETED"), [], max_runtime=HOUR)) == "CLUSTER_LOST"


def test_a_failed_step_is_the_jobs_fault_with_the_cluster_in_its_facts() -> None:
    found = verdict(cluster("STEP_FAILURE"), [step("FAILED")], max_runtime=HOUR, log_tail="ValueError: x")
    assert code(found) == "SPARK_STEP_FAILED"
    assert found is not None
    assert found.facts["cluster_id"] == "j-1"
    assert found.facts["step"] == "a.py"


def test_a_step_that_died_with_its_machine_is_the_clusters_fault() -> None:
    found = verdict(cluster("INSTANCE_FAILURE"), [step("FAILED")], max_runtime=HOUR)
    assert code(found) == "CLUSTER_LOST"


def test_a_step_that_had_all_its_time_ran_into_the_deadline() -> None:
    late = verdict(cluster("STEP_FAILURE"), [step("FAILED", seconds=3600)], max_runtime=HOUR)
    assert code(late) == "CLUSTER_DEADLINE"
    soon = verdict(cluster("STEP_FAILURE"), [step("FAILED", seconds=3590)], max_runtime=HOUR)
    assert code(soon) == "SPARK_STEP_FAILED"


def test_the_error_code_says_more_than_the_reason() -> None:
    spot = cluster("INTERNAL_ERROR", error_code="INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY")
    assert code(verdict(spot, [step("CANCELLED")], max_runtime=HOUR)) == "CLUSTER_CAPACITY"


def test_a_stranger_ended_it() -> None:
    assert code(verdict(cluster("USER_REQUEST"), [step("CANCELLED")], max_runtime=HOUR)) == (
        "CLUSTER_TERMINATED_OUTSIDE"
    )


def test_a_command_that_timeout_cannot_run_is_named() -> None:
    tail = "timeout: failed to run command 's3-dist-cpp': No such file or directory\n"
    found = verdict(cluster("STEP_FAILURE"), [step("FAILED", failure_reason="Unknown Error.")], max_runtime=HOUR,
                    log_tail=tail, exit_status=127)  # fmt: skip
    assert code(found) == "SPARK_MODULE_MISSING"
    assert found is not None
    assert "'s3-dist-cpp'" in found.detail
