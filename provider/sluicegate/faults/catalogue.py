"""Every fault that a step can meet: its code, its class, a sentence and a remedy. Data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

__all__ = ["CATALOGUE", "Fault", "FaultClass", "StepKind"]


class FaultClass(StrEnum):
    """What to do about a fault: try again, look at the data, or stop at once."""

    TRANSIENT = "transient"
    DATA = "data"
    FATAL = "fatal"


@dataclass(frozen=True)
class Fault:
    """One named kind of failure. `sentence` says what happened, `remedy` what a person does about it.

    `raised_by`: the kinds of steps that can end with it; none for what is wrong with a pipeline as a whole.
    `severity` is for alerts, `warning`, `error` or `critical`; without one the class decides.
    """

    code: str
    kind: FaultClass
    sentence: str
    remedy: str
    raised_by: frozenset[StepKind]
    severity: str | None = None


StepKind = Literal["load", "fetch", "spark", "transform", "python", "wait"]
"""The steps of ours. An `operator:` step is Airflow's: the retry policy asks the catalogue about it, nothing else."""

_ALL: frozenset[StepKind] = frozenset({"load", "fetch", "spark", "transform", "python", "wait"})
_LOAD: frozenset[StepKind] = frozenset({"load"})
_SPARK: frozenset[StepKind] = frozenset({"spark"})
_WAIT: frozenset[StepKind] = frozenset({"wait"})
_CODE: frozenset[StepKind] = frozenset({"transform", "python"})
_READS: frozenset[StepKind] = frozenset({"load", "fetch", "transform"})
_DATABASE: frozenset[StepKind] = _LOAD | _WAIT | _CODE | {"fetch"}  # the author's code may use one too

_T, _D, _F = FaultClass.TRANSIENT, FaultClass.DATA, FaultClass.FATAL

_FAULTS = (
    Fault("SOURCE_MISSING", _D, "The source of a step does not exist.",
          "Find out why it was not delivered; when it is there, clear the step. "
          "`wait:` makes the step wait for it.",
          _ALL),
    Fault("SOURCE_UNREADABLE", _D, "The source is not in the format that the pipeline says.",
          "Compare the file with `format:` and `columns:`; have it delivered again or correct the pipeline.",
          _READS | _CODE),
    Fault("SOURCE_DENIED", _F, "A server refused the credentials.",
          "Check the connection that the dataset or the step names (`connection:`), and what its user may do there.",
          _READS | _WAIT | _CODE),
    Fault("SOURCE_UNAVAILABLE", _T, "A server was busy, or failed.",
          "It is retried. If it lasts, ask who runs the server; `retries: {max_delay: 1h}` waits longer.",
          _READS | _WAIT | _CODE),
    Fault("SOURCE_REJECTED", _F, "A server refused the request as invalid.",
          "Read the server's words in the log; correct the address or the request in the pipeline.",
          _READS | _WAIT | _CODE),
    Fault("CERTIFICATE_REFUSED", _F, "The certificate of a server is not one that the worker trusts.",
          "The log says why: have one that has expired renewed; give the worker the authority's certificate where it "
          "is a private one (`SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `AWS_CA_BUNDLE`).",
          _ALL),
    Fault("SOURCE_CHANGED", _T, "The source changed while it was read.",
          "Nothing: the retry reads the new version. If it comes back, the writer should write it once and "
          "whole.",
          _READS | _CODE),
    Fault("SOURCE_UNFINISHED", _D, "A folder that Spark or a fetch writes was not written to its end.",
          "See whether what writes it still runs, or died: when it has left its `_SUCCESS`, clear the step. "
          "Where the writer leaves none, `format: {success_marker: false}` reads the folder as it is.",
          _READS | _WAIT),
    Fault("CHECKS_OUTDATED", _D, "What a cluster has checked is not what the load asks for, or not what is there.",
          "Clear the spark step that writes the records: its last job checks them, and the load follows.",
          _LOAD),
    Fault("IMPORT_REFUSED", _F, "The server of the table cannot read from S3 what a cluster has checked.",
          "Give the server a role for the feature `s3Import` that may `s3:GetObject` and `s3:ListBucket` there, and a "
          "way to S3 (an endpoint of its VPC); or take `copy_from: s3` out, and a worker brings the records.",
          _LOAD),
    Fault("UPSTREAM_LATE", _D, "A step of another pipeline did not succeed in time.",
          "Look at its run: start it, or clear it if it failed; once it succeeded, clear the waiting step.",
          _WAIT),
    Fault("UPSTREAM_FAILED", _D, "A step of another pipeline failed, and this one does not wait.",
          "Follow the other pipeline's playbook; once its step succeeded, clear the waiting step.",
          _WAIT),
    Fault("TOO_MANY_DEAD_LETTERS", _D, "More records were set aside than `dead_letters.max` allows.",
          "Look at the dead letters' reasons. Correct the source or the checks and clear the step; "
          "raise `dead_letters.max` only when the loss is meant.",
          _LOAD),
    Fault("CHECK_FAILED", _D, "A check of the whole table did not hold.",
          "The log says which and what was seen. Correct the source or the check and clear the step.",
          _LOAD),
    Fault("CHECK_BROKEN", _F, "A check could not be carried out.",
          "Correct its name or its arguments in the pipeline file.",
          _LOAD | _CODE),
    Fault("SCHEMA_MISMATCH", _F, "Source, `columns:` and target do not have the same columns or types.",
          "The message names each difference and what the source has: correct the source, `columns:` or the target "
          "so that they agree.",
          _DATABASE),
    Fault("CONSTRAINT_VIOLATED", _D, "The target refused the load as a whole, not single records.",
          "Read the constraint in the log. One that is deferred is judged at the end, with all records: correct the "
          "source, or make the constraint immediate, so that single records are set aside.",
          _DATABASE),
    Fault("WAREHOUSE_UNREACHABLE", _T, "The database could not be reached.",
          "It is retried. If it lasts: is the server up, are host and port of the connection right?",
          _DATABASE),
    Fault("WAREHOUSE_BUSY", _T,
          "The database refused the work for now: a lock, a deadlock or too many connections.",
          "It is retried. If it lasts, look for the session that holds the lock.",
          _DATABASE),
    Fault("WAREHOUSE_DENIED", _F, "The database refused the login or the permission.",
          "Check user and password of the connection, and what the user may do in the target's schema.",
          _DATABASE),
    Fault("WAREHOUSE_ERROR", _F, "The database reported an error that a retry does not mend.",
          "Read the database's message in the log.",
          _DATABASE),
    Fault("DISK_FULL", _F, "No space is left on a disk.",
          "Free some space where the log says, then clear the step.",
          _ALL),
    Fault("OUT_OF_MEMORY", _F, "The step needed more memory than it may take.",
          "What DuckDB lacks in a load, `load_memory_limit` allows it (docs/platform.md). Else give the worker more "
          "memory, or make the step's input smaller.",
          _ALL),
    Fault("AWS_THROTTLED", _T, "AWS asked for a slower pace.", "It is retried with a longer pause.",
          _ALL),
    Fault("AWS_UNAVAILABLE", _T, "AWS did not answer, or answered with a fault of its own.",
          "It is retried. If it lasts, look at AWS's health page and the network.",
          _ALL),
    Fault("AWS_DENIED", _F, "AWS refused the permission or the credentials.",
          "Check the AWS connection, its role and the policy of the bucket or the service.",
          _ALL),
    Fault("AWS_NOT_FOUND", _F, "A bucket or another AWS resource does not exist.",
          "Create it, or correct its name in the pipeline or the defaults.",
          _ALL),
    Fault("AWS_REJECTED", _F, "AWS refused the request as invalid.",
          "Read AWS's message in the log; correct the pipeline.",
          _ALL),
    Fault("CLUSTER_CAPACITY", _T, "AWS had no machines for the cluster, or its subnet no free addresses.",
          "It is retried on a new cluster. If it lasts, allow other instance types or further subnets.",
          _SPARK),
    Fault("CLUSTER_SPOT_LOST", _T, "AWS took back spot machines without which the cluster cannot work.",
          "It is retried on a new cluster. If it lasts, rent primary and core nodes on demand and only task nodes "
          "on the spot market, or allow more instance types.",
          _SPARK),
    Fault("CLUSTER_QUOTA", _T, "The AWS account cannot run as many machines as the cluster asks for.",
          "A retry succeeds when other clusters have ended. If it lasts, ask AWS for a higher quota of EC2 vCPUs or "
          "EBS volumes (Service Quotas), or make the cluster smaller.",
          _SPARK),
    Fault("CLUSTER_LOST", _T, "The cluster ended by a fault of AWS before the work was done.",
          "It is retried on a new cluster. If it lasts, look at AWS's health page.",
          _SPARK),
    Fault("CLUSTER_INVALID", _F, "AWS refused what the cluster is made of.",
          "Correct `clusters:`: release, instance types, subnet, key, security groups. The log has AWS's reason.",
          _SPARK),
    Fault("CLUSTER_DENIED", _F, "AWS refused the cluster a permission that its roles need.",
          "Allow it in the policies of `service_role` or `job_flow_role`. The log has AWS's words.",
          _SPARK),
    Fault("CLUSTER_BOOTSTRAP_FAILED", _F, "A bootstrap action of the cluster failed, or the set-up of its software.",
          "The end of its log is in the task's log; correct the script or the configuration.",
          _SPARK),
    Fault("CLUSTER_BOOTSTRAP_UNREAD", _T, "A machine of the cluster could not download a bootstrap action.",
          "It is retried on a new cluster. If it lasts: is the script at its `s3://` address, and may `job_flow_role` "
          "read it?",
          _SPARK),
    Fault("CLUSTER_DISK_FULL", _F, "The root disk of a machine was full before the cluster was ready.",
          "Set a larger `EbsRootVolumeSize`, or have the bootstrap actions install less.",
          _SPARK),
    Fault("CLUSTER_METASTORE_UNREACHED", _T, "The cluster could not connect to its Hive metastore.",
          "It is retried on a new cluster. If it lasts: is the metastore up, are its address and password in "
          "the cluster's configuration right, and does its security group let the cluster in?",
          _SPARK),
    Fault("CLUSTER_TERMINATED_OUTSIDE", _F, "Somebody ended the cluster outside Airflow.",
          "Ask who did and why; then clear the step, which starts a new cluster.",
          _SPARK),
    Fault("CLUSTER_STEP_CANCELLED", _F, "Somebody cancelled a job of the cluster outside Airflow.",
          "Ask who did and why; then clear the step, which starts a new cluster.",
          _SPARK),
    Fault("CLUSTER_DEADLINE", _F, "The cluster ran longer than `max_runtime`.",
          "Find out what made it slow (the log has the Spark step's tail), or raise `max_runtime`.",
          _SPARK),
    Fault("SPARK_STEP_FAILED", _T, "A Spark job failed.",
          "Its traceback is in the task's log. It is retried, as far as `retries` says.",
          _SPARK),
    Fault("SPARK_CODE_BROKEN", _F, "A Spark job failed in a way that a retry does not mend.",
          "Its traceback is in the task's log; correct the job, then clear the step.",
          _SPARK),
    Fault("SPARK_MODULE_MISSING", _F, "A job needs a module, a class or a command that is not on the cluster.",
          "The log names it. Give it to the step as a package, or install it with a bootstrap action.",
          _SPARK),
    Fault("SPARK_DENIED", _F, "AWS refused a job on the cluster the permission.",
          "Allow what the log names in the policy of `job_flow_role`, or in that of the bucket or the key.",
          _SPARK),
    Fault("SPARK_OUTPUT_EXISTS", _F, "A job does not write where something is already.",
          "Have it overwrite (`.mode(\"overwrite\")`), so that it can run again; or delete what is there.",
          _SPARK),
    Fault("SPARK_OUT_OF_MEMORY", _F, "A job or one of its executors needed more memory than it may take.",
          "Choose instance types with more memory, raise `spark.executor.memory` or its overhead, or have the job "
          "collect less and work in more partitions.",
          _SPARK),
    Fault("SPARK_DISK_FULL", _F, "The disks of the cluster were full.",
          "Give its machines larger EBS volumes or use more of them; the job shuffles or keeps more than they hold.",
          _SPARK),
    Fault("SPARK_MACHINES_LOST", _T, "A job lost machines of the cluster, and what they had computed.",
          "It is retried on a new cluster. If it lasts, use spot for task nodes only, and see in the log whether "
          "executors ran out of memory.",
          _SPARK),
    Fault("CODE_MISSING", _F, "A job file, module or function that the pipeline names does not exist.",
          "Correct its path; it is looked for from the dags root.",
          _ALL),
    Fault("CODE_BROKEN", _F, "Code cannot be loaded, or failed in a way that a retry does not mend.",
          "Its traceback is in the task's log; correct the code, then clear the step. "
          "`retries: {bugs: true}` has it tried again all the same.",
          _ALL),
    Fault("CODE_FAILED", _T, "A function of the pipeline raised an error.",
          "Its traceback is in the task's log. It is retried, as far as `retries` says.",
          _CODE),
    Fault("CONNECTION_MISSING", _F, "An Airflow connection does not exist.",
          "Create it under the name that the pipeline or the defaults say.",
          _ALL),
    Fault("WRONG_USE", _F, "A step was asked for something it cannot do.",
          "Read the message; correct the pipeline.",
          _ALL),
    Fault("FILE_DENIED", _F, "The operating system refused access to a file.",
          "Give Airflow's user the permission on the path that the log names, or correct the path.",
          _ALL),
    Fault("NETWORK", _T, "A connection broke or could not be made.",
          "It is retried. If it lasts, check the network.",
          _ALL),
    Fault("TIMED_OUT", _T, "Something took longer than it may.",
          "It is retried, as far as `retries` says. If it lasts, find out what made it slow, "
          "or raise `timeout`. Limits such as `statement_timeout` are those of the role in the database.",
          _ALL),
    Fault("WORKER_LOST", _T, "The process of a step ended without a word.",
          "Look on its machine for what killed it: the kernel's out-of-memory killer, a restart, an eviction. It is "
          "retried, as far as `retries` says; then clear the step.",
          _ALL),
    Fault("PIPELINE_LATE", _D, "The data of a pipeline is older than `fresh_within` allows.",
          "Look at its newest run: what fails or waits there, or why there is none.",
          frozenset()),
    Fault("PIPELINE_STALLED", _D, "A pipeline has not run when it should have.",
          "Is it paused, is its file broken, does the scheduler run? Start it, or clear what it waits for.",
          frozenset()),
    Fault("CIRCUIT_OPEN", _T, "What pipelines need has failed for a while, and their tasks wait for it.",
          "See to what it names. The tasks go on by themselves once it works; "
          "`sluicegate circuits reset` lets them through at once.",
          frozenset()),
    Fault("ALERT_UNDELIVERED", _F, "An alert could not be delivered.",
          "Read in the log what the channel answered; correct its connection or its arguments, and try it with "
          "`sluicegate alerts test`.",
          frozenset()),
    Fault("UNKNOWN", _T, "An error that is not in the catalogue.",
          "Read the traceback in the log. It is retried, as far as `retries` says.",
          _ALL),
)  # fmt: skip

CATALOGUE: Mapping[str, Fault] = MappingProxyType({fault.code: fault for fault in _FAULTS})
