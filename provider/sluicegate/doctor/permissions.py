"""Whether IAM allows what the policy of `policy.py` asks for, by its own simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sluicegate.doctor.finding import Finding, ok, skipped, warn
from sluicegate.doctor.policy import Places, policy

__all__ = ["permissions"]


def permissions(iam: Any, arn: str, region: str, places: Places) -> Iterator[Finding]:
    """Whether each statement of the policy that a step needs is allowed, with its resources and its conditions."""
    if not arn:
        yield skipped("permissions", "who calls is not known")
        return
    partition, account_id = arn.split(":")[1], arn.split(":")[4]
    exact = replace(places, account=account_id, region=region, partition=partition)
    denied: set[str] = set()
    actions: set[str] = set()
    for statement in policy(exact, doctor=False)["Statement"]:
        actions |= set(statement["Action"])
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=_principal(arn), **_simulated(statement)
        )
        for page in pages:
            denied |= {
                str(one["EvalActionName"]) for one in page["EvaluationResults"] if one["EvalDecision"] != "allowed"
            }
    if denied:
        remedy = "`sluicegate doctor --policy` prints a policy that allows them."
        yield warn("permissions", f"not allowed as steps need it: {', '.join(sorted(denied))}", remedy)
    else:
        yield ok("permissions", f"all {len(actions)} actions that a step needs")


def _simulated(statement: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked about a statement: something below each folder, and any cluster."""
    found: dict[str, Any] = {"ActionNames": statement["Action"]}
    if statement["Resource"] != ["*"]:
        found["ResourceArns"] = [f"{one[:-1]}sluicegate" if one.endswith("*") else one for one in statement["Resource"]]
    conditions = statement.get("Condition", {})
    said = {**conditions.get("StringEquals", {}), **conditions.get("StringLike", {})}
    if said:
        found["ContextEntries"] = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in said.items()
        ]
    return found


def _principal(arn: str) -> str:
    """The role behind an assumed role's session: policies are its."""
    head, _, rest = arn.partition(":assumed-role/")
    if not rest:
        return arn
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.rpartition('/')[0]}"
