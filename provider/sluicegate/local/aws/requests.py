"""EMR's request shapes -> `Cluster` and `Step`: the reverse of `views`."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime
from typing import cast

from sluicegate.local.aws.clusters import Cluster, Json, Step

_ALPHABET = string.digits + string.ascii_uppercase
_IDLE_TIMEOUT = 3600  # EMR's default, in seconds


def new_cluster(request: Json, now: datetime) -> Cluster:
    """The cluster that a RunJobFlow asks for, with an id of its own."""
    instances = cast("Json", request.get("Instances") or {})
    return Cluster(
        id=f"j-{_new_id()}",
        name=str(request.get("Name", "")),
        request=request,
        created=now,
        keep_alive=bool(instances.get("KeepJobFlowAliveWhenNoSteps")),
        protected=bool(instances.get("TerminationProtected")),
        idle_timeout=idle_timeout_of(cast("Json | None", request.get("AutoTerminationPolicy"))),
        tags=tags_of(request),
        steps=steps_of(request, now),
    )


def steps_of(request: Json, now: datetime) -> list[Step]:
    return [_step(item, now) for item in cast("list[Json]", request.get("Steps") or [])]


def _step(item: Json, now: datetime) -> Step:
    jar = cast("Json", item.get("HadoopJarStep") or {})
    properties = cast("list[dict[str, str]]", jar.get("Properties") or [])
    main_class = jar.get("MainClass")
    return Step(
        id=f"s-{_new_id()}",
        name=str(item.get("Name", "")),
        created=now,
        action_on_failure=str(item.get("ActionOnFailure") or "TERMINATE_CLUSTER"),
        jar=str(jar.get("Jar", "")),
        args=[str(arg) for arg in cast("list[object]", jar.get("Args") or [])],
        properties={row["Key"]: row["Value"] for row in properties},
        main_class=str(main_class) if main_class else None,
    )


def tags_of(request: Json) -> dict[str, str]:
    rows = cast("list[dict[str, str]]", request.get("Tags") or [])
    return {row.get("Key", ""): row.get("Value", "") for row in rows}


def idle_timeout_of(policy: Json | None) -> int | None:
    return None if policy is None else int(cast("int", policy.get("IdleTimeout") or _IDLE_TIMEOUT))


def time_of(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(cast("float", value)), UTC)


def _new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(13))
