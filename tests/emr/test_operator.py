"""A task's whole way, and each way in which it can be interrupted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTerminated, TaskDeferred

from sluicegate.checks.spark import spark_job
from sluicegate.emr import engine
from sluicegate.emr.connection import Aws
from sluicegate.emr.uploads import Uploads
from sluicegate.faults import FatalFault, FaultError, TransientFault
from sluicegate.pipeline.keys.load import LoadOptions
from sluicegate.records.on_cluster import ClusterCheck, cluster_plan, digest_of
from sluicegate.runtime.marks import RECOVERY_KEY
from sluicegate.testing.emr import AwsError, LostAnswerError


def killed(deferred: TaskDeferred) -> None:
    """What the triggerer does when a person marks or clears a deferred task."""
    path, kwargs = deferred.trigger.serialize()
    asyncio.run(import_string(path)(**kwargs).on_kill())


def test_a_run_starts_one_cluster_waits_for_it_and_says_how_it_went(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    (cluster_id,) = aws.live()
    aws.finish(cluster_id)
    result = task.resume(deferred, fired(deferred))
    assert result["cluster_id"] == cluster_id
    assert result["steps"] == [{"name": "delays.py", "state": "COMPLETED", "seconds": 5.0}]
    assert aws.calls.count("RunJobFlow") == 1
    step = aws.clusters[cluster_id]["Request"]["Steps"][0]
    assert step["HadoopJarStep"]["Args"][4:7] == ["spark-submit", "--deploy-mode", "client"]
    assert step["HadoopJarStep"]["Args"][8:] == [
        "--flights", "s3://lake/flights/2013-02-11.csv", "--out", "s3://lake/delays/2013-02-11/",
    ]  # fmt: skip


def test_a_dry_run_is_skipped_with_a_line_that_says_so(aws: Any, task: Any) -> None:
    task.params = {"dry_run": True}
    with pytest.raises(AirflowSkipException, match="no cluster is started"):
        task.execute()
    assert not aws.calls


def test_a_failed_step_is_a_fault_with_the_tail_of_its_log(
    aws: Any, task: Any, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    deferred = task.execute()
    (cluster_id,) = aws.live()
    aws.fail_step(cluster_id, stdout="Traceback\n  line 3\nZeroDivisionError: division by zero\n", stderr="INFO x")
    with pytest.raises(TransientFault) as failed:
        task.resume(deferred, fired(deferred))
    assert failed.value.code == "SPARK_STEP_FAILED"
    assert failed.value.detail == "delays.py: ZeroDivisionError: division by zero"
    assert failed.value.facts["cluster_id"] == cluster_id
    assert "ZeroDivisionError: division by zero" in caplog.text
    assert f"s3://logs/emr/{cluster_id}/steps/" in caplog.text


def test_a_retry_after_a_failed_step_is_a_new_attempt(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    aws.fail_step("j-0001", stdout="OSError: gone")
    with pytest.raises(TransientFault):
        task.resume(deferred, fired(deferred))
    again = task.retry()
    assert [aws.clusters[c]["Name"][-3:] for c in aws.clusters] == ["-a1", "-a2"]
    aws.finish("j-0002")
    assert task.resume(again, fired(again))["cluster_id"] == "j-0002"


def test_a_try_that_died_after_the_start_is_gone_on_with(aws: Any, task: Any) -> None:
    task.execute()  # the worker died before it could report the deferral
    deferred = task.retry()
    assert aws.calls.count("RunJobFlow") == 1
    assert deferred.trigger.cluster_id == "j-0001"


def test_a_dag_written_by_hand_is_refused_at_once_what_check_refuses(make_task: Any) -> None:
    cluster = {"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}}
    with pytest.raises(FatalFault, match=r"cluster.log_uri: expected s3://<bucket>/"):
        make_task(cluster=cluster | {"log_uri": "/logs"}).new()
    with pytest.raises(FatalFault, match=r"jobs.0.options.master: a job runs on the cluster's YARN"):
        make_task(cluster=cluster, jobs=[{"path": "jobs/delays.py", "options": {"master": "local"}}]).new()


def test_a_lost_answer_of_run_job_flow_does_not_make_a_second_cluster(aws: Any, task: Any) -> None:
    aws.after["RunJobFlow"] = [LostAnswerError()]
    deferred = task.execute()
    assert deferred.trigger.cluster_id == "j-0001"
    assert len(aws.clusters) == 1


def test_two_tries_at_once_keep_the_older_cluster(
    aws: Any, task: Any, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_FRESH", timedelta())  # both were held up
    other = make_task()
    other.shares_store_with(task)
    racing: list[TaskDeferred] = []
    # The other one looks, sees nothing and starts its own, while our request is on its way.
    aws.before["RunJobFlow"] = [lambda: racing.append(other.execute())]
    mine = task.execute()
    assert len(aws.clusters) == 2
    assert aws.live() == ["j-0001"]
    assert mine.trigger.cluster_id == racing[0].trigger.cluster_id == "j-0001"


def test_who_waited_for_a_duplicate_goes_on_with_the_one_that_was_kept(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    twin = aws.clusters["j-0001"]
    aws.clusters["j-0002"] = {
        **twin, "Created": twin["Created"] - timedelta(seconds=1), "Tags": dict(twin["Tags"]),
        "Steps": [{"Id": "s-twin", "Name": "delays.py", "State": "PENDING"}],
    }  # fmt: skip
    task.retry()
    assert aws.live() == ["j-0002"]
    again = task.resume(deferred, fired(deferred))
    assert again.trigger.cluster_id == "j-0002"
    assert aws.calls.count("RunJobFlow") == 1


def test_a_trigger_that_failed_leaves_the_cluster_to_the_retry(aws: Any, task: Any) -> None:
    task.execute()
    with pytest.raises(TransientFault):
        task.fail_trigger("Trigger failure")
    assert aws.live() == ["j-0001"]
    assert task.retry().trigger.cluster_id == "j-0001"


def test_the_last_try_leaves_no_cluster_behind(aws: Any, task: Any) -> None:
    task.execute()
    task.try_number = task.max_tries + 1
    with pytest.raises(TransientFault):
        task.fail_trigger("Trigger failure")
    assert aws.live() == []


def test_work_that_was_done_but_never_reported_is_not_done_twice(aws: Any, task: Any) -> None:
    task.execute()
    aws.finish("j-0001")
    result = task.retry()  # the worker died before it resumed
    assert result["cluster_id"] == "j-0001"
    assert aws.calls.count("RunJobFlow") == 1


def test_a_worker_that_dies_between_the_record_and_the_report_does_not_run_twice(
    aws: Any, task: Any, fired: Any
) -> None:
    deferred = task.execute()
    aws.finish("j-0001")
    task.resume(deferred, fired(deferred))  # recorded, but Airflow never heard of the success
    assert task.retry()["cluster_id"] == "j-0001"
    assert aws.calls.count("RunJobFlow") == 1


def test_a_green_task_that_a_person_clears_runs_again(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    aws.finish("j-0001")
    task.resume(deferred, fired(deferred))
    again = task.clear()
    assert again.trigger.cluster_id == "j-0002"
    assert aws.clusters["j-0002"]["Name"].endswith("-a2")
    aws.finish("j-0002")
    task.resume(again, fired(again))
    assert task.clear().trigger.cluster_id == "j-0003"


def test_a_cleared_task_runs_again_also_when_the_store_was_emptied(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    aws.finish("j-0001")
    task.resume(deferred, fired(deferred))
    task.store.clear()  # `[state_store] clear_on_success`
    assert task.clear().trigger.cluster_id == "j-0002"


def test_a_deferred_task_that_is_marked_or_cleared_ends_its_cluster(aws: Any, task: Any) -> None:
    deferred = task.execute()
    killed(deferred)
    assert aws.live() == []
    assert aws.clusters["j-0001"]["Tags"]["sluicegate:ended-by"] == "killed"


FORCE = {"plan": "p", "force": True}


def test_force_ends_the_cluster_that_runs_and_starts_another(aws: Any, task: Any) -> None:
    task.execute()
    task.store[RECOVERY_KEY] = FORCE
    assert task.clear().trigger.cluster_id == "j-0002"
    assert aws.live() == ["j-0002"]
    assert aws.clusters["j-0001"]["Tags"]["sluicegate:ended-by"] == "forced"
    assert aws.clusters["j-0002"]["Name"].endswith("-a2")


def test_force_ends_the_cluster_that_runs_also_when_the_store_was_emptied(aws: Any, task: Any) -> None:
    task.execute()
    task.store.clear()
    task.store[RECOVERY_KEY] = FORCE
    assert task.clear().trigger.cluster_id == "j-0002"
    assert aws.live() == ["j-0002"]


def test_force_does_again_what_was_done_but_never_reported(aws: Any, task: Any) -> None:
    task.execute()
    aws.finish("j-0001")
    task.store[RECOVERY_KEY] = FORCE
    assert task.clear().trigger.cluster_id == "j-0002"


def test_a_retry_of_a_forced_try_goes_on_with_its_cluster(aws: Any, task: Any) -> None:
    task.execute()
    task.store[RECOVERY_KEY] = FORCE
    task.clear()
    assert task.retry().trigger.cluster_id == "j-0002"
    aws.finish("j-0002")
    assert task.retry()["cluster_id"] == "j-0002"
    assert aws.calls.count("RunJobFlow") == 2
    assert RECOVERY_KEY not in task.store


def test_what_is_forced_twice_runs_twice(aws: Any, task: Any, fired: Any) -> None:
    for cluster_id in ("j-0001", "j-0002", "j-0003"):
        task.store[RECOVERY_KEY] = FORCE
        deferred = task.clear()
        assert deferred.trigger.cluster_id == cluster_id
        aws.finish(cluster_id)
        task.resume(deferred, fired(deferred))


def test_a_forced_try_that_dies_before_its_cluster_starts_starts_one(aws: Any, task: Any) -> None:
    task.execute()
    task.store[RECOVERY_KEY] = FORCE
    aws.before["RunJobFlow"] = [AwsError("AccessDeniedException")]
    with pytest.raises(FaultError):
        task.clear()
    assert aws.live() == []
    assert task.retry().trigger.cluster_id == "j-0002"


def test_a_clear_that_is_quicker_than_the_kill_ends_the_cluster_itself(aws: Any, task: Any) -> None:
    old = task.execute()
    assert task.clear().trigger.cluster_id == "j-0002"
    assert aws.live() == ["j-0002"]
    killed(old)
    assert aws.live() == ["j-0002"]


def test_a_late_kill_leaves_the_cluster_of_the_next_try_alone(aws: Any, task: Any) -> None:
    old = task.execute()
    task.params = {"force": True}
    assert task.clear().trigger.cluster_id == "j-0002"
    killed(old)
    assert aws.live() == ["j-0002"]


def test_a_cluster_that_was_marked_but_still_seems_to_run_is_not_waited_for(aws: Any, task: Any) -> None:
    task.execute()
    aws.clusters["j-0001"]["Tags"]["sluicegate:ended-by"] = "killed"
    assert task.retry().trigger.cluster_id == "j-0002"


def test_on_kill_ends_the_cluster_whose_id_nobody_knows_yet(aws: Any, task: Any) -> None:
    # The signal comes when AWS has made the cluster and has not yet said so.
    aws.after["RunJobFlow"] = [lambda: task.operator.on_kill()]
    with pytest.raises(AirflowTaskTerminated):
        task.execute()
    assert len(aws.clusters) == 1
    assert aws.live() == []


def test_on_kill_before_the_start_starts_nothing(aws: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Uploads.steps  # the last before RunJobFlow
    monkeypatch.setattr(Uploads, "steps", lambda self, *a: task.operator.on_kill() or steps(self, *a))
    with pytest.raises(AirflowTaskTerminated):
        task.execute()
    assert not aws.clusters


def test_on_kill_while_the_task_connects_starts_nothing(aws: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Aws.__init__
    monkeypatch.setattr(Aws, "__init__", lambda self, *a: task.operator.on_kill() or connect(self, *a))
    with pytest.raises(AirflowTaskTerminated):
        task.execute()
    assert not aws.clusters


def test_on_kill_just_after_the_start_leaves_nothing(aws: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_FRESH", timedelta())  # it was held up
    aws.after["RunJobFlow"] = [lambda: aws.after.update(ListClusters=[lambda: task.operator.on_kill()])]
    with pytest.raises(AirflowTaskTerminated):
        task.execute()
    assert len(aws.clusters) == 1
    assert aws.live() == []


def test_a_cluster_ended_by_somebody_else_is_fatal(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    aws.run_step("j-0001")
    aws.end("j-0001", "TERMINATED", "USER_REQUEST", "Terminated by user request")
    with pytest.raises(FatalFault) as ended:
        task.resume(deferred, fired(deferred))
    assert ended.value.code == "CLUSTER_TERMINATED_OUTSIDE"
    assert "j-0001" in ended.value.detail


def test_no_machines_is_transient_and_a_bad_cluster_is_fatal(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    capacity = "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"
    aws.end("j-0001", "TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", "none left", capacity)
    with pytest.raises(TransientFault, match="CLUSTER_CAPACITY"):
        task.resume(deferred, fired(deferred))
    again = task.retry()
    aws.end("j-0002", "TERMINATED_WITH_ERRORS", "VALIDATION_ERROR", "no such subnet")
    with pytest.raises(FatalFault, match="CLUSTER_INVALID"):
        task.resume(again, fired(again))


def test_a_job_that_ran_into_max_runtime_is_past_its_deadline(aws: Any, make_task: Any, fired: Any) -> None:
    task = make_task(max_runtime=timedelta(seconds=60))
    deferred = task.execute()
    args = aws.clusters["j-0001"]["Request"]["Steps"][0]["HadoopJarStep"]["Args"]
    assert args[:4] == ["timeout", "--signal=TERM", "--kill-after=60", "60"]
    aws.run_step("j-0001", ago=61)
    aws.fail_step("j-0001", stderr="Terminated")
    with pytest.raises(FatalFault) as late:
        task.resume(deferred, fired(deferred))
    assert late.value.code == "CLUSTER_DEADLINE"
    assert "max_runtime is 1m" in late.value.detail


def test_the_step_timeout_counts_deferred_time_and_ends_the_cluster(aws: Any, make_task: Any, fired: Any) -> None:
    task = make_task(timeout=timedelta(seconds=0.5))
    deferred = task.execute()
    event = fired(deferred)
    assert event["outcome"] == "deadline"
    with pytest.raises(FatalFault) as late:
        task.resume(deferred, event)
    assert late.value.code == "CLUSTER_DEADLINE"
    assert aws.live() == []


def test_a_timeout_that_airflow_notices_ends_the_cluster_too(aws: Any, task: Any) -> None:
    deferred = task.execute()
    assert deferred.timeout > timedelta(hours=4)
    with pytest.raises(FatalFault, match="CLUSTER_DEADLINE"):
        task.fail_trigger("Trigger timeout")
    assert aws.live() == []


def test_work_that_ended_at_the_last_moment_is_not_thrown_away(aws: Any, task: Any) -> None:
    task.execute()
    aws.finish("j-0001")
    assert task.fail_trigger("Trigger timeout")["cluster_id"] == "j-0001"


def test_the_wait_goes_on_until_the_deadline_on_the_cluster(aws: Any, task: Any) -> None:
    deferred = task.execute()
    not_after = datetime.fromisoformat(aws.clusters["j-0001"]["Tags"]["sluicegate:not-after"])
    assert datetime.fromisoformat(deferred.trigger.deadline) == not_after
    assert timedelta(hours=4) < not_after - datetime.now(UTC) < timedelta(hours=6)


def test_an_outage_of_the_api_does_not_end_a_running_cluster(
    aws: Any, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _quick(monkeypatch)
    task.execute()
    aws.before["ListClusters"] = [AwsError("InternalServerError", 500)] * 6
    with pytest.raises(TransientFault):
        task.retry()
    assert aws.live() == ["j-0001"]
    assert task.retry().trigger.cluster_id == "j-0001"


def test_an_error_that_no_retry_mends_ends_the_cluster(aws: Any, task: Any) -> None:
    deferred = task.execute()
    aws.before["DescribeCluster"] = [AwsError("AccessDeniedException", 400)]
    with pytest.raises(FatalFault) as denied:
        task.resume(deferred, {"outcome": "ended", "cluster_id": "j-0001"})
    assert denied.value.code == "AWS_DENIED"
    assert aws.live() == []


def test_a_missing_job_file_is_said_before_there_is_a_cluster(aws: Any, make_task: Any) -> None:
    with pytest.raises(FatalFault) as missing:
        make_task(jobs=["jobs/dealys.py"]).execute()
    assert missing.value.code == "CODE_MISSING"
    assert "jobs/dealys.py" in missing.value.detail
    assert not aws.clusters


def test_a_missing_bucket_is_said_with_its_remedy(aws: Any, make_task: Any) -> None:
    with pytest.raises(FatalFault) as missing:
        make_task(artifacts="s3://nowhere/").execute()
    assert missing.value.code == "AWS_NOT_FOUND"
    assert "create it" in missing.value.detail
    assert [bucket["Name"] for bucket in aws.s3.client().list_buckets()["Buckets"]] == ["code", "lake", "logs"]


def test_a_missing_connection_is_a_fault_and_not_somebody_elses_account(make_task: Any) -> None:
    with pytest.raises(FatalFault) as missing:
        make_task(aws_conn_id="nobody").execute()
    assert missing.value.code == "CONNECTION_MISSING"


def test_several_jobs_run_on_one_cluster_and_share_the_bindings(aws: Any, make_task: Any, fired: Any) -> None:
    task = make_task(
        jobs=[{"path": "jobs/delays.py", "args": ["--day", "{{ ds }}"]}, "s3://code/report.py"],
        reads={"flights": ["s3://lake/1.csv", "s3://lake/2.csv"]},
    )
    deferred = task.execute()
    first, second = aws.clusters["j-0001"]["Request"]["Steps"]
    assert first["HadoopJarStep"]["Args"][8:] == [
        "--flights", "s3://lake/1.csv,s3://lake/2.csv", "--out", "s3://lake/delays/2013-02-11/",
        "--day", "2013-02-11",
    ]  # fmt: skip
    assert second["HadoopJarStep"]["Args"][7:9] == ["s3://code/report.py", "--flights"]
    aws.run_step("j-0001", 0)
    aws.finish("j-0001")
    result = task.resume(deferred, fired(deferred))
    assert [step["name"] for step in result["steps"]] == ["delays.py", "report.py"]


def test_a_mistake_in_the_arguments_is_said_when_the_dag_is_built(make_task: Any) -> None:
    with pytest.raises(ValueError, match="`jobs` is empty"):
        make_task(jobs=[]).new()
    with pytest.raises(ValueError, match="in `reads` and in `writes`: out"):
        make_task(reads={"out": "s3://lake/x"}).new()


def test_the_fault_stands_in_the_store(aws: Any, task: Any, fired: Any) -> None:
    deferred = task.execute()
    aws.fail_step("j-0001", stdout="ModuleNotFoundError: No module named 'pandsa'")
    with pytest.raises(FaultError):
        task.resume(deferred, fired(deferred))
    assert task.store["last_error"]["code"] == "SPARK_MODULE_MISSING"
    assert task.store["last_error"]["facts"]["cluster_id"] == "j-0001"


def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's pauses between its attempts."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


def test_what_it_writes_is_checked_by_the_last_job_of_its_cluster(aws: Any, make_task: Any) -> None:
    options = LoadOptions(key="id", columns={"id": "bigint"}, format="parquet")  # type: ignore[arg-type]
    task = make_task(checks=[ClusterCheck("load_delays", "out", options)])
    task.execute()
    task.retry()
    assert aws.calls.count("RunJobFlow") == 1
    [(cluster_id, cluster)] = aws.clusters.items()
    assert aws.live() == [cluster_id]
    first, last = cluster["Request"]["Steps"]
    assert first["HadoopJarStep"]["Args"][8] == "--flights"
    assert (last["Name"], last["ActionOnFailure"]) == ("check.py", "TERMINATE_CLUSTER")
    job, *words = last["HadoopJarStep"]["Args"][7:]
    assert words[::2] == ["--plan", "--source", "--to"]
    plan, source, to = words[1::2]
    assert (source, to) == ("s3://lake/delays/2013-02-11/", "s3://lake/delays/2013-02-11/_checked/load_delays/")
    text = cluster_plan(options, task.operator.root)
    assert plan == f"s3://code/{digest_of(text)}/load_delays.json"
    assert aws.s3.get(plan) == text.encode()
    assert aws.s3.get(job) == spark_job().encode()


def test_what_a_run_is_narrowed_to_is_in_its_plan(aws: Any, make_task: Any) -> None:
    columns = {"id": "bigint", "day": "date", "carrier": "text"}
    scope: dict[str, Any] = {"day": "{{ ds }}", "carrier": "{{ params.carrier }}"}
    words: dict[str, Any] = {"key": "id", "columns": columns, "format": "parquet"}
    task = make_task(checks=[ClusterCheck("load_delays", "out", LoadOptions(scope=scope, **words))])
    task.params = {"carrier": ["AA", None]}
    task.execute()
    [cluster] = aws.clusters.values()
    plan = cluster["Request"]["Steps"][-1]["HadoopJarStep"]["Args"][9]
    narrowed = LoadOptions(scope={"day": "2013-02-11", "carrier": ["AA", None]}, **words)
    assert aws.s3.get(plan) == cluster_plan(narrowed, task.operator.root).encode()


def test_a_plan_that_makes_no_sense_is_refused_before_a_cluster_is_started(aws: Any, make_task: Any) -> None:
    options = LoadOptions(columns={"id": {"type": "bigint", "between": [5, 1]}})  # type: ignore[dict-item]
    with pytest.raises(FatalFault, match="CHECK_BROKEN"):
        make_task(checks=[ClusterCheck("load_delays", "out", options)]).execute()
    assert aws.calls.count("RunJobFlow") == 0
