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

    `raised_by`: the kinds of steps that can end with it.
    """

    code: str
    kind: FaultClass
    sentence: str
    remedy: str
    raised_by: frozenset[StepKind]


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
          _READS),
    Fault("SOURCE_DENIED", _F, "The server of a source refused the credentials.",
          "Check the connection that the dataset names (`connection:`), and what its user may read.",
          _READS | _WAIT),
    Fault("SOURCE_UNAVAILABLE", _T, "The server of a source was busy, or failed.",
          "It is retried. If it lasts, ask who runs the server; `retries: {max_delay: 1h}` waits longer.",
          _READS | _WAIT),
    Fault("SOURCE_REJECTED", _F, "The server of a source refused the request as invalid.",
          "Read the server's words in the log; correct the address or the request in the pipeline.",
          _READS | _WAIT),
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
          _LOAD),
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
          "Give the worker more memory, or make the step's input smaller.",
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
    Fault("CLUSTER_CAPACITY", _T, "AWS had no machines for the cluster.",
          "It is retried on a new cluster. If it lasts, allow other instance types or another subnet.",
          _SPARK),
    Fault("CLUSTER_LOST", _T, "The cluster ended by a fault of AWS before the work was done.",
          "It is retried on a new cluster.",
          _SPARK),
    Fault("CLUSTER_INVALID", _F, "AWS refused what the cluster is made of.",
          "Correct `clusters:`: release, instance types, roles, subnet. The log has AWS's reason.",
          _SPARK),
    Fault("CLUSTER_BOOTSTRAP_FAILED", _F, "A bootstrap action of the cluster failed.",
          "Its log is below the cluster's log folder; correct the script.",
          _SPARK),
    Fault("CLUSTER_TERMINATED_OUTSIDE", _F, "Somebody ended the cluster outside Airflow.",
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
          "or raise `timeout`.",
          _ALL),
    Fault("UNKNOWN", _T, "An error that is not in the catalogue.",
          "Read the traceback in the log. It is retried, as far as `retries` says.",
          _ALL),
)  # fmt: skip

CATALOGUE: Mapping[str, Fault] = MappingProxyType({fault.code: fault for fault in _FAULTS})
