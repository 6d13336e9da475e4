"""An EMR that a test plays: its clusters do what the test says, and nothing by themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from sluicegate.testing.s3 import ScratchS3

__all__ = ["AwsError", "LostAnswerError", "ScriptedEmr"]

_LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")

Event: TypeAlias = BaseException | Callable[[], object]
"""What happens at a call: an exception that is raised, or something that is done."""


class AwsError(Exception):
    """What AWS answers instead: its error's code, and the HTTP status."""

    def __init__(self, code: str, status: int = 400, message: str = "no") -> None:
        super().__init__(message)
        self.code, self.status = code, status


class LostAnswerError(ConnectionError):
    """The work is done, and the connection breaks before the client has an answer."""


class ScriptedEmr:
    """Clusters by id, as EMR would keep them, and its API, as far as `spark` steps use it.

    :param s3: where logs of steps are left
    """

    def __init__(self, s3: ScratchS3) -> None:
        self.s3 = s3
        self.clusters: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        """The actions that were asked for, in their order: `RunJobFlow`, `ListClusters`, ..."""
        self.before: dict[str, list[Event]] = {}
        """By action, what happens before one call each, in this order. The call is not made if that raises."""
        self.after: dict[str, list[Event]] = {}
        """As `before`, once the call is made."""
        self.tap: Callable[[str], None] = lambda action: None
        """Called after each call, before its answer is sent."""
        self.page = 2
        """Clusters in a page of `ListClusters`."""
        self.behind = 0
        """How many more calls of `ListClusters` show no cluster yet."""
        self._lock = threading.RLock()

    # --- what a test does

    def run_step(self, cluster_id: str, n: int = 0, *, ago: float = 5.0) -> None:
        """Let step `n` run since `ago` seconds."""
        cluster = self.clusters[cluster_id]
        cluster["State"] = "RUNNING"
        cluster["Steps"][n] |= {"State": "RUNNING", "Start": _now() - timedelta(seconds=ago)}

    def finish(self, cluster_id: str) -> None:
        """Complete all steps; the cluster then ends."""
        for step in self.clusters[cluster_id]["Steps"]:
            step["Start"] = step.get("Start") or _now() - timedelta(seconds=5)
            step |= {"State": "COMPLETED", "End": _now()}
        self.end(cluster_id, "TERMINATED", "ALL_STEPS_COMPLETED")

    def fail_step(self, cluster_id: str, n: int = 0, *, stdout: str = "", stderr: str = "") -> None:
        """Fail step `n`, with these logs; the cluster then ends."""
        cluster = self.clusters[cluster_id]
        step = cluster["Steps"][n]
        step["Start"] = step.get("Start") or _now() - timedelta(seconds=5)
        step |= {"State": "FAILED", "End": _now(), "Failure": {"Reason": "Unknown Error.", "Message": "see log"}}
        if cluster["LogUri"]:
            folder = f"{cluster['LogUri'].rstrip('/')}/{cluster_id}/steps/{step['Id']}/"
            self.s3.put(folder + "stdout.gz", stdout)
            self.s3.put(folder + "stderr.gz", stderr)
        self.end(cluster_id, "TERMINATED_WITH_ERRORS", "STEP_FAILURE")

    def end(self, cluster_id: str, state: str, code: str, message: str = "", error: str = "") -> None:
        """End a cluster for the reason `code`, with what has not ended on it.

        :param error: the code of an error's details: `ErrorDetails`
        """
        cluster = self.clusters[cluster_id]
        cluster |= {"State": state, "Code": code, "Message": message, "Error": error, "Ended": _now()}
        for step in cluster["Steps"]:
            if step["State"] in ("PENDING", "RUNNING"):
                step["State"] = "CANCELLED"

    def live(self) -> list[str]:
        """The ids of the clusters that have not ended."""
        return [cluster_id for cluster_id, cluster in self.clusters.items() if cluster["State"] in _LIVE]

    # --- what the API does

    def respond(self, request: Request) -> Response:
        """The answer to a client of boto3.

        :raises LostAnswerError: where the connection is to break.
        """
        from werkzeug.wrappers import Response

        action = request.headers["X-Amz-Target"].partition(".")[2]
        status, answer = 200, {}
        try:
            answer = self.call(action, json.loads(request.get_data() or b"{}"))
        except AwsError as error:
            status, answer = error.status, {"__type": error.code, "message": str(error)}
        return Response(json.dumps(answer), status, content_type="application/x-amz-json-1.1")

    def call(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of the API by its name, `RunJobFlow`."""
        self._happen(self.before, action)
        with self._lock:
            self.calls.append(action)
            answer: dict[str, Any] = getattr(self, f"_{action}")(body) or {}
        self.tap(action)
        self._happen(self.after, action)
        return answer

    def _happen(self, plan: dict[str, list[Event]], action: str) -> None:
        with self._lock:
            event = plan[action].pop(0) if plan.get(action) else None
        if isinstance(event, BaseException):
            raise event
        if event is not None:
            event()

    def _RunJobFlow(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's names
        cluster_id = f"j-{len(self.clusters) + 1:04d}"
        self.clusters[cluster_id] = {
            "Name": body["Name"],
            "State": "STARTING",
            "Created": _now(),
            "Tags": {tag["Key"]: tag["Value"] for tag in body.get("Tags", [])},
            "LogUri": body.get("LogUri", ""),
            "Protected": body["Instances"].get("TerminationProtected", False),
            "Request": body,
            "Steps": [],
        }
        self._add_steps(cluster_id, body.get("Steps", []))
        return {"JobFlowId": cluster_id}

    def _AddJobFlowSteps(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.clusters[body["JobFlowId"]]["State"] not in _LIVE:
            raise AwsError("ValidationException", 400, "A job flow that is shutting down may not be modified.")
        return {"StepIds": self._add_steps(body["JobFlowId"], body["Steps"])}

    def _add_steps(self, cluster_id: str, steps: list[dict[str, Any]]) -> list[str]:
        known = self.clusters[cluster_id]["Steps"]
        first = len(known)
        known += [
            {"Id": f"s-{cluster_id}-{n}", "Name": step["Name"], "State": "PENDING"}
            for n, step in enumerate(steps, first)
        ]
        return [step["Id"] for step in known[first:]]

    def _ListClusters(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.behind:
            self.behind -= 1
            return {"Clusters": []}
        after = body.get("CreatedAfter", 0)
        after = after if isinstance(after, (int, float)) else datetime.fromisoformat(after).timestamp()
        fitting = [
            (cluster_id, cluster)
            for cluster_id, cluster in reversed(self.clusters.items())
            if cluster["State"] in body["ClusterStates"] and cluster["Created"].timestamp() > after
        ]
        first = int(body.get("Marker", 0))
        page = [
            {"Id": cluster_id, "Name": cluster["Name"], "Status": _status(cluster)}
            for cluster_id, cluster in fitting[first : first + self.page]
        ]
        more = {"Marker": str(first + self.page)} if first + self.page < len(fitting) else {}
        return {"Clusters": page, **more}

    def _DescribeCluster(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self.clusters[body["ClusterId"]]
        tags = [{"Key": key, "Value": value} for key, value in cluster["Tags"].items()]
        shown = {"Id": body["ClusterId"], "Name": cluster["Name"], "LogUri": cluster["LogUri"]}
        return {"Cluster": {**shown, "Status": _status(cluster), "Tags": tags}}

    def _DescribeStep(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        [step] = [step for step in self.clusters[body["ClusterId"]]["Steps"] if step["Id"] == body["StepId"]]
        return {"Step": _step(step)}

    def _ListSteps(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Steps": [_step(step) for step in reversed(self.clusters[body["ClusterId"]]["Steps"])]}

    def _ListInstances(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self.clusters[body["ClusterId"]]
        times = {"CreationDateTime": cluster["Created"].timestamp()}
        if "Ended" in cluster:
            times["EndDateTime"] = cluster["Ended"].timestamp()
        machine = {"Market": "ON_DEMAND", "InstanceType": "m7g.xlarge", "Status": {"Timeline": times}}
        return {"Instances": [{"Id": f"ci-{n}", **machine} for n in range(3)]}

    def _AddTags(self, body: dict[str, Any]) -> None:  # noqa: N802
        self.clusters[body["ResourceId"]]["Tags"] |= {tag["Key"]: tag["Value"] for tag in body["Tags"]}

    def _SetTerminationProtection(self, body: dict[str, Any]) -> None:  # noqa: N802
        for cluster_id in body["JobFlowIds"]:
            self.clusters[cluster_id]["Protected"] = body["TerminationProtected"]

    def _TerminateJobFlows(self, body: dict[str, Any]) -> None:  # noqa: N802
        if any(self.clusters[cluster_id]["Protected"] for cluster_id in body["JobFlowIds"]):
            raise AwsError("ValidationException", 400, "one or more job flows are termination protected")
        for cluster_id in body["JobFlowIds"]:
            if self.clusters[cluster_id]["State"] in _LIVE:
                self.end(cluster_id, "TERMINATED", "USER_REQUEST", "Terminated by user request")


def _now() -> datetime:
    return datetime.now(UTC)


def _status(cluster: dict[str, Any]) -> dict[str, Any]:
    times = {"CreationDateTime": cluster["Created"].timestamp()}
    if "Ended" in cluster:
        times["EndDateTime"] = cluster["Ended"].timestamp()
    reason = {"Code": cluster.get("Code"), "Message": cluster.get("Message")}
    errors = [{"ErrorCode": cluster["Error"]}] if cluster.get("Error") else []
    return {"State": cluster["State"], "StateChangeReason": reason, "Timeline": times, "ErrorDetails": errors}


def _step(step: dict[str, Any]) -> dict[str, Any]:
    times = {
        name: step[key].timestamp()
        for name, key in (("StartDateTime", "Start"), ("EndDateTime", "End"))
        if step.get(key)
    }
    status = {"State": step["State"], "Timeline": times, "FailureDetails": step.get("Failure")}
    return {"Id": step["Id"], "Name": step["Name"], "Status": status}
