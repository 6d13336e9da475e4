"""EMR's actions over a `Fleet`: a request as a dictionary -> what is answered, or an `EmrError`.

Requests come as botocore's model has them (`model`); what AWS refuses besides is in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast

from sluicegate.local.aws import rules
from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.clusters import Cluster, Json
from sluicegate.local.aws.errors import invalid, invalid_request
from sluicegate.local.aws.fleet import Fleet
from sluicegate.local.aws.machines import fleet_views, group_views, instance_views, uses_fleets
from sluicegate.local.aws.requests import idle_timeout_of, new_cluster, steps_of, tags_of, time_of
from sluicegate.local.aws.views import bootstrap_views, cluster_view, step_view, summary_view

ACCOUNT = "123456789012"
PAGE = 50

_WRONG_COLLECTION = (
    "Instance fleets and instance groups are mutually exclusive. The EMR cluster specified in the request uses {used}. "
    "The {action} operation does not support clusters that use {used}. Use the {other} operation instead."
)


class Actions:
    """One method an action, by the snake-case form of its name."""

    def __init__(self, fleet: Fleet, chaos: Chaos, region: str) -> None:
        self._fleet = fleet
        self._chaos = chaos
        self._region = region

    # --- clusters

    def run_job_flow(self, asked: Json) -> Json:
        _refuse(rules.run_job_flow(asked))
        cluster = new_cluster(asked, _now())
        self._fleet.add(cluster, self._chaos.on_cluster(cluster))
        return {"JobFlowId": cluster.id, "ClusterArn": self._arn(cluster)}

    def describe_cluster(self, asked: Json) -> Json:
        cluster = self._cluster(asked)
        shown = self._fleet.view(lambda _: cluster_view(cluster))
        return {"Cluster": shown | {"ClusterArn": self._arn(cluster)}}

    def list_clusters(self, asked: Json) -> Json:
        states = cast("list[str]", asked.get("ClusterStates") or [])
        after, before = time_of(asked.get("CreatedAfter")), time_of(asked.get("CreatedBefore"))

        def read(clusters: list[Cluster]) -> list[Json]:
            return [
                summary_view(cluster) | {"ClusterArn": self._arn(cluster)}
                for cluster in reversed(clusters)
                if (not states or cluster.state in states)
                and (after is None or cluster.created > after)
                and (before is None or cluster.created < before)
                and not self._chaos.hides(cluster)
            ]

        return _page("Clusters", self._fleet.view(read), asked)

    def terminate_job_flows(self, asked: Json) -> Json:
        _refuse(rules.at_most(asked, "JobFlowIds", rules.MOST_CLUSTERS, "clusters"))
        clusters = self._job_flows(asked)
        for cluster in clusters:
            if not cluster.protected:
                self._fleet.terminate(cluster)
        if any(cluster.protected and not cluster.is_ending for cluster in clusters):
            raise invalid("Could not shut down one or more job flows since they are termination protected.")
        return {}

    def set_termination_protection(self, asked: Json) -> Json:
        return self._set_on_all(asked, "protected", asked["TerminationProtected"])

    def set_keep_job_flow_alive_when_no_steps(self, asked: Json) -> Json:
        return self._set_on_all(asked, "keep_alive", asked["KeepJobFlowAliveWhenNoSteps"])

    def set_visible_to_all_users(self, asked: Json) -> Json:
        for cluster in self._job_flows(asked):
            self._remember(cluster, "VisibleToAllUsers", asked["VisibleToAllUsers"])
        return {}

    def set_unhealthy_node_replacement(self, asked: Json) -> Json:
        for cluster in self._job_flows(asked):
            replaced = cluster.instances | {"UnhealthyNodeReplacement": asked["UnhealthyNodeReplacement"]}
            self._remember(cluster, "Instances", replaced)
        return {}

    def modify_cluster(self, asked: Json) -> Json:
        _refuse_newer(rules.concurrency(asked))
        cluster = self._cluster(asked)
        if asked.get("StepConcurrencyLevel") is not None:
            self._remember(cluster, "StepConcurrencyLevel", asked["StepConcurrencyLevel"])
        return {"StepConcurrencyLevel": cluster.concurrency}

    def add_tags(self, asked: Json) -> Json:
        cluster = self._cluster(asked, "ResourceId")
        _refuse_newer(rules.tags(cast("list[Json]", asked["Tags"]), tuple(cluster.tags)))
        self._fleet.change(cluster, lambda: cluster.tags.update(tags_of(asked)))
        return {}

    def remove_tags(self, asked: Json) -> Json:
        cluster = self._cluster(asked, "ResourceId")

        def remove() -> None:
            for key in cast("list[str]", asked["TagKeys"]):
                cluster.tags.pop(key, None)

        self._fleet.change(cluster, remove)
        return {}

    # --- policies

    def put_auto_termination_policy(self, asked: Json) -> Json:
        cluster = self._cluster(asked)
        policy = cast("Json | None", asked.get("AutoTerminationPolicy"))
        _refuse(rules.auto_termination(policy or {}))
        self._set(cluster, "idle_timeout", idle_timeout_of(policy or {}))
        return {}

    def get_auto_termination_policy(self, asked: Json) -> Json:
        idle = self._cluster(asked).idle_timeout
        return {} if idle is None else {"AutoTerminationPolicy": {"IdleTimeout": idle}}

    def remove_auto_termination_policy(self, asked: Json) -> Json:
        self._set(self._cluster(asked), "idle_timeout", None)
        return {}

    def put_managed_scaling_policy(self, asked: Json) -> Json:
        self._remember(self._cluster(asked), "ManagedScalingPolicy", asked["ManagedScalingPolicy"])
        return {}

    def get_managed_scaling_policy(self, asked: Json) -> Json:
        policy = self._cluster(asked).request.get("ManagedScalingPolicy")
        return {"ManagedScalingPolicy": policy} if policy else {}

    def remove_managed_scaling_policy(self, asked: Json) -> Json:
        self._remember(self._cluster(asked), "ManagedScalingPolicy", None)
        return {}

    # --- machines

    def list_instance_groups(self, asked: Json) -> Json:
        cluster = self._cluster(asked)
        if uses_fleets(cluster):
            words = {"used": "instance fleets", "action": "ListInstanceGroups", "other": "ListInstanceFleets"}
            code = "API_DOES_NOT_SUPPORT_INSTANCE_FLEET_CLUSTERS"
            raise invalid_request(_WRONG_COLLECTION.format(**words), code)
        return _page("InstanceGroups", self._fleet.view(lambda _: group_views(cluster)), asked)

    def list_instance_fleets(self, asked: Json) -> Json:
        cluster = self._cluster(asked)
        if not uses_fleets(cluster):
            words = {"used": "instance groups", "action": "ListInstanceFleets", "other": "ListInstanceGroups"}
            raise invalid_request(_WRONG_COLLECTION.format(**words))
        return _page("InstanceFleets", self._fleet.view(lambda _: fleet_views(cluster)), asked)

    def list_instances(self, asked: Json) -> Json:
        cluster = self._cluster(asked)
        return _page("Instances", self._fleet.view(lambda _: list(instance_views(cluster, asked))), asked)

    def list_bootstrap_actions(self, asked: Json) -> Json:
        return _page("BootstrapActions", bootstrap_views(self._cluster(asked)), asked)

    # --- steps

    def add_job_flow_steps(self, asked: Json) -> Json:
        cluster = self._job_flow(str(asked["JobFlowId"]))
        steps = steps_of(asked, _now())

        def add() -> list[str]:
            if cluster.is_ending:
                raise invalid("A job flow that is shutting down, terminated, or finished may not be modified.")
            _refuse(rules.add_job_flow_steps(asked, len(cluster.steps), cluster.concurrency))
            cluster.steps.extend(steps)
            return [step.id for step in steps]

        return {"StepIds": self._fleet.change(cluster, add)}

    def describe_step(self, asked: Json) -> Json:
        step = self._cluster(asked).step(str(asked["StepId"]))
        if step is None:
            raise invalid_request(f"Step id '{asked['StepId']}' is not valid.")
        return {"Step": self._fleet.view(lambda _: step_view(step))}

    def list_steps(self, asked: Json) -> Json:
        _refuse_newer(rules.at_most(asked, "StepIds", rules.MOST_STEP_IDS, "step ids"))
        cluster = self._cluster(asked)
        ids, states = (cast("list[str]", asked.get(name) or []) for name in ("StepIds", "StepStates"))

        def read(_: object) -> list[Json]:
            return [
                step_view(step)
                for step in reversed(cluster.steps)
                if (not ids or step.id in ids) and (not states or step.state in states)
            ]

        return _page("Steps", self._fleet.view(read), asked)

    def cancel_steps(self, asked: Json) -> Json:
        _refuse_newer(rules.at_most(asked, "StepIds", rules.MOST_STEPS, "steps"))
        cluster = self._cluster(asked)
        answers = []
        for step_id in cast("list[str]", asked["StepIds"]):
            step = cluster.step(step_id)
            done = step is not None and self._fleet.cancel(cluster, step)
            answer: Json = {"StepId": step_id, "Status": "SUBMITTED" if done else "FAILED"}
            if not done:
                answer["Reason"] = "The step is neither pending nor running." if step else "There is no such step."
            answers.append(answer)
        return {"CancelStepsInfoList": answers}

    # --- inside

    def _cluster(self, asked: Json, name: str = "ClusterId") -> Cluster:
        cluster = self._fleet.get(str(asked[name]))
        if cluster is None:
            raise invalid_request(f"Cluster id '{asked[name]}' is not valid.")
        return cluster

    def _job_flow(self, cluster_id: str) -> Cluster:
        """The older actions name a cluster otherwise, and fail otherwise."""
        cluster = self._fleet.get(cluster_id)
        if cluster is None:
            raise invalid("Specified job flow ID does not exist.")
        return cluster

    def _job_flows(self, asked: Json) -> list[Cluster]:
        return [self._job_flow(name) for name in cast("list[str]", asked["JobFlowIds"])]

    def _set_on_all(self, asked: Json, attribute: str, value: object) -> Json:
        for cluster in self._job_flows(asked):
            self._set(cluster, attribute, value)
        return {}

    def _set(self, cluster: Cluster, attribute: str, value: object) -> None:
        self._fleet.change(cluster, lambda: setattr(cluster, attribute, value))

    def _remember(self, cluster: Cluster, member: str, value: object) -> None:
        """As if its RunJobFlow had asked for it."""
        self._fleet.change(cluster, lambda: cluster.request.update({member: value}))

    def _arn(self, cluster: Cluster) -> str:
        return f"arn:aws:elasticmapreduce:{self._region}:{ACCOUNT}:cluster/{cluster.id}"


def _refuse(found: Iterator[str]) -> None:
    if (message := next(found, None)) is not None:
        raise invalid(message)


def _refuse_newer(found: Iterator[str]) -> None:
    if (message := next(found, None)) is not None:
        raise invalid_request(message)


def _page(name: str, rows: Sequence[Json], asked: Json) -> Json:
    """A page of rows; the marker is the last row's id, so that rows added meanwhile move nothing."""
    marker = asked.get("Marker")
    ids = [row.get("Id", row.get("Name")) for row in rows]
    if marker is not None and marker not in ids:
        raise invalid_request(f"Marker '{marker}' is not valid.")
    start = ids.index(marker) + 1 if marker is not None else 0
    more = {"Marker": ids[start + PAGE - 1]} if start + PAGE < len(rows) else {}
    return {name: list(rows[start : start + PAGE]), **more}


def _now() -> datetime:
    return datetime.now(UTC)
