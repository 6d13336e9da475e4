"""Why a cluster ended decides on the retry, by the table of facts/emr.md."""

from __future__ import annotations

import pytest

from sluicegate.faults import FaultClass, emr_fault

PYTHON_TRACEBACK = """\
26/01/01 10:00:00 INFO SparkContext: Running Spark version 3.5.6
26/01/01 10:00:03 WARN Utils: java.lang.ClassNotFoundException: optional.Thing
Traceback (most recent call last):
  File "/tmp/spark-1/delays.py", line 12, in <module>
    main()
  File "/tmp/spark-1/delays.py", line 8, in main
    raise RuntimeError("no flights on this day")
RuntimeError: no flights on this day
"""


@pytest.mark.parametrize(
    ("reason", "code", "message", "expected"),
    [
        ("INTERNAL_ERROR", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ", "", "CLUSTER_CAPACITY"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY", "", "CLUSTER_CAPACITY"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_PRICE_INCREASE_PRIMARY", "", "CLUSTER_CAPACITY"),
        ("INSTANCE_FLEET_TIMEOUT", None, "", "CLUSTER_CAPACITY"),
        ("INTERNAL_ERROR", None, "", "CLUSTER_LOST"),
        ("INSTANCE_FAILURE", None, "the primary node failed", "CLUSTER_LOST"),
        ("BOOTSTRAP_FAILURE", "BOOTSTRAP_FAILURE_BA_DOWNLOAD_FAILED_PRIMARY", "", "CLUSTER_BOOTSTRAP_UNREAD"),
        ("BOOTSTRAP_FAILURE", None, "bootstrap action 1 failed to download", "CLUSTER_BOOTSTRAP_UNREAD"),
        ("BOOTSTRAP_FAILURE", "BOOTSTRAP_FAILURE_FILE_NOT_FOUND_PRIMARY", "", "CLUSTER_BOOTSTRAP_FAILED"),
        (
            "BOOTSTRAP_FAILURE",
            None,
            "bootstrap action 1 returned a non-zero code",
            "CLUSTER_BOOTSTRAP_FAILED",
        ),
        ("VALIDATION_ERROR", None, "The supplied release label is invalid", "CLUSTER_INVALID"),
        ("VALIDATION_ERROR", "VALIDATION_ERROR_SUBNET_NOT_FOUND", "", "CLUSTER_INVALID"),
        (
            "VALIDATION_ERROR",
            None,
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.",
            "CLUSTER_QUOTA",
        ),
        ("INTERNAL_ERROR", None, "role is not authorized to perform ec2:RunInstances", "CLUSTER_DENIED"),
        ("USER_REQUEST", None, "Terminated by user request", "CLUSTER_TERMINATED_OUTSIDE"),
        (None, None, "", "CLUSTER_LOST"),
    ],
)
def test_a_cluster_that_did_not_do_its_work(reason: str | None, code: str | None, message: str, expected: str) -> None:
    assert emr_fault(reason, code, message=message).code == expected


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (PYTHON_TRACEBACK, "SPARK_STEP_FAILED"),
        ("pyspark.errors.exceptions.captured.AnalysisException: [UNRESOLVED_COLUMN] x", "SPARK_CODE_BROKEN"),
        ("  File delays.py, line 3\nSyntaxError: invalid syntax", "SPARK_CODE_BROKEN"),
        ("ModuleNotFoundError: No module named 'pandas'", "SPARK_MODULE_MISSING"),
        ("com.amazonaws...AmazonS3Exception: NoSuchBucket", "AWS_NOT_FOUND"),
        ("java.nio.file.AccessDeniedException: s3://lake: Access Denied", "SPARK_DENIED"),
        (
            "26/01/01 10:00:09 ERROR ApplicationMaster: User class threw exception: "
            "org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND]",
            "SPARK_CODE_BROKEN",
        ),
        ("pyspark...AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://l/x.", "SOURCE_MISSING"),
        ("py4j.protocol.Py4JJavaError: An error occurred\n: org.apache.spark.SparkException: Job aborted",
         "SPARK_STEP_FAILED"),
        ("26/01/01 10:00:09 ERROR TaskSchedulerImpl: Lost executor 3: Container killed by YARN for exceeding memory "
         "limits.\nRuntimeError: no flights", "SPARK_STEP_FAILED"),
        ("\t diagnostics: Application application_1_1 failed 2 times due to AM Container for appattempt_1_1 exited "
         "with  exitCode: 137\nException in thread \"main\" org.apache.spark.SparkException: Application "
         "application_1_1 finished with failed status", "SPARK_OUT_OF_MEMORY"),
        ("", "SPARK_STEP_FAILED"),
    ],
)  # fmt: skip
def test_a_step_that_failed(tail: str, expected: str) -> None:
    assert emr_fault("STEP_FAILURE", log_tail=tail).code == expected


def test_a_warning_in_the_log_does_not_make_a_failure_fatal() -> None:
    found = emr_fault("STEP_FAILURE", log_tail=PYTHON_TRACEBACK)
    assert found.fault.kind is FaultClass.TRANSIENT


def test_the_detail_names_the_exception_of_the_job() -> None:
    assert emr_fault("STEP_FAILURE", log_tail=PYTHON_TRACEBACK).detail == "RuntimeError: no flights on this day"


def test_without_a_log_the_words_of_aws_stand_in_the_detail() -> None:
    found = emr_fault("STEP_FAILURE", None, "Unknown Error.", "exitCode 1")
    assert found.detail == "Unknown Error. exitCode 1"


def test_the_facts_have_the_codes_for_machines() -> None:
    found = emr_fault("INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY")
    assert found.facts["error_code"] == "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY"
