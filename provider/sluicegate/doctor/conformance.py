"""A tiny job on an EMR, and the same on the local EMR: every answer compared.

Two steps on one machine, one that ends well and one that fails; the cluster ends by itself, and whatever happens it is
ended at the end. `talk` is the same for both: it knows no difference between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from sluicegate.faults import classify, fault

__all__ = ["JOB", "Conversation", "Difference", "compare", "conformance_request", "talk"]

JOB = b'''"""Counts to a hundred on a Spark cluster; with `--fail` it fails afterwards."""
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
assert spark.range(100).count() == 100
spark.stop()
if "--fail" in sys.argv:
    raise ValueError("this job was asked to fail")
'''

_ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_ORDER = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING", *_ENDED)
_ENUMS = frozenset({"State", "Code", "Market", "ActionOnFailure", "Reason"})
"""Members whose values are words that programs decide by."""


@dataclass
class Conversation:
    """What an EMR said. `fields` are the members of each answer, `words` the values that programs decide by."""

    cluster_states: list[str] = field(default_factory=list)
    step_states: dict[str, list[str]] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    words: dict[str, set[str]] = field(default_factory=dict)

    def note(self, operation: str, answer: Mapping[str, Any]) -> None:
        for path, value in _members({key: value for key, value in answer.items() if key != "ResponseMetadata"}, ""):
            self.fields.setdefault(operation, set()).add(path)
            if path.rpartition(".")[2] in _ENUMS:
                self.words.setdefault(f"{operation}: {path}", set()).add(str(value))


@dataclass(frozen=True)
class Difference:
    """`what` is compared; `theirs` is what the EMR said, `local` what the local EMR says."""

    what: str
    theirs: str
    local: str

    def __str__(self) -> str:
        return f"{self.what}: it says {self.theirs}; the local EMR says {self.local}"

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def conformance_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """`request` of RunJobFlow with a first step that ends well and a second one that may fail."""
    first, second = request["Steps"]
    return {**request, "Steps": [first, {**second, "ActionOnFailure": "CONTINUE"}]}


def talk(
    emr: Any,
    request: Mapping[str, Any],
    *,
    patience: float = 1800,
    poll: float = 10,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    told: Callable[[str], None] = lambda words: None,
    starter: Any = None,
) -> Conversation:
    """Start the cluster, look until it has ended, ask everything that a `spark` step asks; end it in any case.

    :param emr: a boto3 EMR client
    :param starter: one that repeats no call by itself, to start the cluster with; `emr` if it is not given
    :raises FaultError: TIMED_OUT when it has not ended after `patience` seconds
    """
    heard = Conversation()
    answer = (starter or emr).run_job_flow(**request)
    cluster_id = answer["JobFlowId"]
    try:
        heard.note("RunJobFlow", answer)
        emr.add_tags(ResourceId=cluster_id, Tags=[{"Key": "sluicegate:conformance", "Value": "1"}])
        until = clock() + patience
        while not _look(emr, cluster_id, heard, told):
            if clock() > until:
                raise fault("TIMED_OUT", f"{cluster_id} has not ended after {patience:.0f} s")
            sleep(poll)
        _ask_of_the_ended(emr, cluster_id, heard)
    finally:
        _end(emr, cluster_id, told)
    return heard


def _end(emr: Any, cluster_id: str, told: Callable[[str], None]) -> None:
    try:
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
    except Exception as error:
        told(f"{cluster_id} could not be ended, and ends by itself after its jobs: {classify(error).detail}")


def _look(emr: Any, cluster_id: str, heard: Conversation, told: Callable[[str], None]) -> bool:
    """One look at the cluster and its steps; whether it has ended."""
    state = str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])
    if _appended(heard.cluster_states, state):
        told(f"{cluster_id}: {state}")
    for step in emr.list_steps(ClusterId=cluster_id)["Steps"]:
        _appended(heard.step_states.setdefault(step["Name"], []), step["Status"]["State"])
    return state in _ENDED


def _ask_of_the_ended(emr: Any, cluster_id: str, heard: Conversation) -> None:
    cluster = emr.describe_cluster(ClusterId=cluster_id)
    heard.note("DescribeCluster", cluster)
    heard.note("ListSteps", emr.list_steps(ClusterId=cluster_id))
    heard.note("ListInstances", emr.list_instances(ClusterId=cluster_id))
    created = cluster["Cluster"]["Status"]["Timeline"]["CreationDateTime"] - timedelta(minutes=1)
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(_ENDED), CreatedAfter=created):
        for one in page["Clusters"]:
            if one["Id"] == cluster_id:
                heard.note("ListClusters", {"Clusters": [one]})
    tags = {tag["Key"] for tag in cluster["Cluster"].get("Tags", [])}
    heard.words["a tag that was added is shown"] = {str("sluicegate:conformance" in tags)}
    try:
        emr.describe_cluster(ClusterId="j-NOSUCHCLUSTER")
    except ClientError as refused:
        status = refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        heard.words["an unknown cluster"] = {f"{refused.response['Error']['Code']} ({status})"}


def compare(theirs: Conversation, local: Conversation) -> list[Difference]:
    """What an EMR said otherwise than the local one. Words of messages and times are not compared."""
    return [
        *_order("the cluster's states", theirs.cluster_states, local.cluster_states),
        *_steps(theirs.step_states, local.step_states),
        *_fields(theirs.fields, local.fields),
        *_words(theirs.words, local.words),
    ]


def _order(what: str, theirs: Sequence[str], local: Sequence[str]) -> Iterator[Difference]:
    """The last state has to be the same; before it some may be passed too quickly to be seen, but none backwards."""
    places = [_ORDER.index(state) if state in _ORDER else -1 for state in theirs]
    if theirs[-1:] != local[-1:] or -1 in places or places != sorted(places):
        yield Difference(what, " -> ".join(theirs), " -> ".join(local))


def _steps(theirs: Mapping[str, Sequence[str]], local: Mapping[str, Sequence[str]]) -> Iterator[Difference]:
    for name in sorted(theirs.keys() | local.keys()):
        mine, other = list(theirs.get(name, ())), list(local.get(name, ()))
        if mine[-1:] != other[-1:] or not set(mine) <= {"PENDING", "RUNNING", *other}:
            yield Difference(f"the states of the step {name}", " -> ".join(mine) or "nothing", " -> ".join(other))


def _fields(theirs: Mapping[str, set[str]], local: Mapping[str, set[str]]) -> Iterator[Difference]:
    for operation in sorted(theirs.keys() | local.keys()):
        mine, other = theirs.get(operation, set()), local.get(operation, set())
        for path in sorted(mine ^ other):
            said, missing = f"{path}", "no such member"
            yield Difference(operation, *((said, missing) if path in mine else (missing, said)))


def _words(theirs: Mapping[str, set[str]], local: Mapping[str, set[str]]) -> Iterator[Difference]:
    for what in sorted(theirs.keys() & local.keys()):
        if theirs[what] != local[what]:
            yield Difference(what, ", ".join(sorted(theirs[what])), ", ".join(sorted(local[what])))


def _members(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Every member of an answer by its path, `Cluster.Tags[].Key`; those of all items of a list together."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _members(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _members(item, f"{path}[]")
    else:
        yield path, value


def _appended(states: list[str], state: str) -> bool:
    """Whether `state` is a new one at the end of `states`, where it is now."""
    if states[-1:] == [state]:
        return False
    states.append(state)
    return True
