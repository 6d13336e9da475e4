"""EMR's API over a `Fleet`: moto's front (protocol, parsing, serializing) with actions that mean it.

In moto's own models no step runs and no state changes, so they are not used for clusters at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import cast

from botocore import xform_name
from moto.core.request import Request as MotoRequest
from moto.core.responses import ActionResult, EmptyResult
from moto.emr.exceptions import InvalidCluster, InvalidRequestException, ValidationException
from moto.emr.responses import ElasticMapReduceResponse
from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.clusters import Cluster, Json
from sluicegate.local.aws.fleet import Fleet
from sluicegate.local.aws.requests import new_cluster, steps_of, tags_of, time_of
from sluicegate.local.aws.views import cluster_view, instance_views, step_view, summary_view

PAGE = 50


class EmrActions(ElasticMapReduceResponse):  # type: ignore[misc]  # moto is not followed
    """A request to EMR: an instance each, as moto has it. An action is a method by its name."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet

    def answers(self, action: str) -> bool:
        """Whether there is an action of this name (`describe_cluster`) here."""
        return action in vars(EmrActions)

    def dispatch_request(self, request: MotoRequest) -> tuple[int, dict[str, str], str | bytes]:
        """(status, headers, body), errors of EMR's included."""
        return cast("tuple[int, dict[str, str], str | bytes]", self._dispatch(request))

    # --- clusters

    def run_job_flow(self) -> ActionResult:
        cluster = new_cluster(self._request(), _now())
        self._fleet.add(cluster)
        return ActionResult({"JobFlowId": cluster.id, "ClusterArn": self._arn(cluster)})

    def describe_cluster(self) -> ActionResult:
        cluster = self._cluster()
        shown = self._fleet.view(lambda _: cluster_view(cluster))
        return ActionResult({"Cluster": shown | {"ClusterArn": self._arn(cluster)}})

    def list_clusters(self) -> ActionResult:
        asked = self._request()
        states = cast("list[str]", asked.get("ClusterStates") or [])
        after, before = time_of(asked.get("CreatedAfter")), time_of(asked.get("CreatedBefore"))

        def read(clusters: list[Cluster]) -> list[Json]:
            return [
                summary_view(cluster) | {"ClusterArn": self._arn(cluster)}
                for cluster in reversed(clusters)
                if (not states or cluster.state in states)
                and (after is None or cluster.created > after)
                and (before is None or cluster.created < before)
            ]

        return self._page("Clusters", self._fleet.view(read))

    def terminate_job_flows(self) -> ActionResult:
        clusters = [self._job_flow(name) for name in cast("list[str]", self._request()["JobFlowIds"])]
        for cluster in clusters:
            if not cluster.protected:
                self._fleet.terminate(cluster)
        if any(cluster.protected and not cluster.is_ending for cluster in clusters):
            raise ValidationException("Could not shut down one or more job flows since they are termination protected.")
        return EmptyResult()

    def set_termination_protection(self) -> ActionResult:
        return self._set_on_job_flows("protected", "TerminationProtected")

    def add_tags(self) -> ActionResult:
        cluster = self._cluster("ResourceId")
        self._fleet.change(cluster, lambda: cluster.tags.update(tags_of(self._request())))
        return EmptyResult()

    # --- steps

    def add_job_flow_steps(self) -> ActionResult:
        request = self._request()
        cluster = self._job_flow(str(request.get("JobFlowId")))
        steps = steps_of(request, _now())

        def add() -> list[str]:
            if cluster.is_ending:
                raise ValidationException(
                    "A job flow that is shutting down, terminated, or finished may not be modified."
                )
            cluster.steps.extend(steps)
            return [step.id for step in steps]

        return ActionResult({"StepIds": self._fleet.change(cluster, add)})

    def describe_step(self) -> ActionResult:
        cluster = self._cluster()
        step = cluster.step(str(self._request().get("StepId")))
        if step is None:
            raise InvalidRequestException(f"Step id '{self._request().get('StepId')}' is not valid.")
        return ActionResult({"Step": self._fleet.view(lambda _: step_view(step))})

    def list_steps(self) -> ActionResult:
        cluster = self._cluster()
        asked = self._request()
        ids, states = (cast("list[str]", asked.get(name) or []) for name in ("StepIds", "StepStates"))

        def read(_: object) -> list[Json]:
            return [
                step_view(step)
                for step in reversed(cluster.steps)
                if (not ids or step.id in ids) and (not states or step.state in states)
            ]

        return self._page("Steps", self._fleet.view(read))

    def cancel_steps(self) -> ActionResult:
        cluster = self._cluster()
        answers = []
        for step_id in cast("list[str]", self._request()["StepIds"]):
            step = cluster.step(step_id)
            done = step is not None and self._fleet.cancel(cluster, step)
            answer = {"StepId": step_id, "Status": "SUBMITTED" if done else "FAILED"}
            if not done:
                answer["Reason"] = "The step is neither pending nor running." if step else "There is no such step."
            answers.append(answer)
        return ActionResult({"CancelStepsInfoList": answers})

    def list_instances(self) -> ActionResult:
        cluster = self._cluster()
        return self._page("Instances", self._fleet.view(lambda _: instance_views(cluster)))

    # --- inside

    def _request(self) -> Json:
        return cast("Json", self.params.original_dict())

    def _cluster(self, name: str = "ClusterId") -> Cluster:
        cluster_id = str(self._request().get(name))
        cluster = self._fleet.get(cluster_id)
        if cluster is None:
            raise InvalidCluster(cluster_id)
        return cluster

    def _job_flow(self, cluster_id: str) -> Cluster:
        """The older actions name a cluster otherwise, and fail otherwise."""
        cluster = self._fleet.get(cluster_id)
        if cluster is None:
            raise ValidationException("Specified job flow ID does not exist.")
        return cluster

    def _set_on_job_flows(self, attribute: str, name: str) -> ActionResult:
        request = self._request()
        for cluster_id in cast("list[str]", request["JobFlowIds"]):
            self._set(self._job_flow(cluster_id), attribute, bool(request[name]))
        return EmptyResult()

    def _set(self, cluster: Cluster, attribute: str, value: object) -> None:
        self._fleet.change(cluster, lambda: setattr(cluster, attribute, value))

    def _page(self, name: str, rows: Sequence[Json]) -> ActionResult:
        """A page of rows; the marker is the last row's id, so that rows added meanwhile move nothing."""
        marker = self._request().get("Marker")
        start = next((at + 1 for at, row in enumerate(rows) if row["Id"] == marker), 0)
        page = list(rows[start : start + PAGE])
        more = {"Marker": page[-1]["Id"]} if start + PAGE < len(rows) else {}
        return ActionResult({name: page, **more})

    def _arn(self, cluster: Cluster) -> str:
        return f"arn:aws:elasticmapreduce:{self.region}:{self.current_account}:cluster/{cluster.id}"


def emr_api(fleet: Fleet) -> Callable[[Request], Response]:
    """A function that answers a request to EMR, out of this fleet."""

    def respond(request: Request) -> Response:
        actions = EmrActions(fleet)
        action = xform_name(request.headers.get("X-Amz-Target", "").rpartition(".")[2])
        if not actions.answers(action):
            refusal = json.dumps({"__type": "NotImplemented", "message": f"The local EMR has no {action}."})
            return Response(refusal, 501, content_type="application/x-amz-json-1.1")
        status, headers, body = actions.dispatch_request(MotoRequest(request.environ))
        return Response(body, status, headers)

    return respond


def _now() -> datetime:
    return datetime.now(UTC)
