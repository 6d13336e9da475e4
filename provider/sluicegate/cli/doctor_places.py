"""What `sluicegate doctor` looks at: the pipelines below a root, the AWS behind their connections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.doctor.finding import Finding, fail, looked
from sluicegate.doctor.needs import Needs, needs_of
from sluicegate.doctor.policy import Places
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.tree import Tree

if TYPE_CHECKING:
    from sluicegate.emr.connection import Aws

__all__ = ["accounts", "aws_of", "deployment_of", "needs_below", "policy_places"]

_DEPLOYMENT = "AIRFLOW__SLUICEGATE__DEPLOYMENT"


def needs_below(root: Path) -> tuple[Tree, Needs]:
    from sluicegate.cli.reading import tree_of

    tree = tree_of(root)
    return tree, needs_of(tree.readable.values())


def deployment_of(state: Path) -> str:
    """The name of the embedded stack that runs, else of this machine's Airflow; a pattern where it was given none."""
    from sluicegate.cli.home import airflow_home
    from sluicegate.local.stack.stack import running

    stack = running(state)
    if named := os.environ.get(_DEPLOYMENT) or (stack.env.get(_DEPLOYMENT) if stack else None):
        return named
    with airflow_home():
        from sluicegate.emr.deployment import given_name
        from sluicegate.emr.names import ANY_INSTALLATION

        return given_name() or ANY_INSTALLATION


def policy_places(needs: Needs, deployment: str) -> Places:
    clusters = tuple(cluster for each in needs.clusters.values() for cluster in each)
    return Places(deployment, clusters, needs.artifacts, needs.log_uris, needs.measured)


@dataclass(frozen=True)
class _Wanted:
    clusters: Sequence[Cluster]
    folders: Mapping[str, str]
    places: Places


def accounts(needs: Needs, state: Path, deployment: str) -> Iterator[Finding]:
    """What is found in the accounts behind the connections to AWS, one after the other."""
    from sluicegate.doctor.aws import account
    from sluicegate.faults import classify

    for name in needs.aws or {"aws_default": frozenset[str]()}:
        clusters = needs.clusters.get(name, ())
        logs = frozenset(uri for one in clusters if (uri := one.log_uri))
        folders = dict.fromkeys(sorted(logs), "logs")
        folders |= dict.fromkeys(needs.artifacts if clusters else (), "artifacts")
        try:
            aws = aws_of(name, state)
        except Exception as unusable:
            found = classify(unusable)
            yield fail(f"connection {name}", found.detail or str(found), found.fault.remedy)
            continue
        there = Places(deployment, tuple(clusters), needs.artifacts if clusters else frozenset(), logs, needs.measured)
        # What no look of it expects, such as a connection that names no region, is one more finding.
        yield from looked(f"connection {name}", partial(account, aws, _Wanted(clusters, folders, there)))


def aws_of(name: str, state: Path) -> Aws:
    """The AWS behind the Airflow connection `name`: of this process, the embedded stack or this machine's Airflow.

    :raises Exception: when there is no such connection, or it cannot be used
    """
    from sluicegate.cli.connections import find_connection
    from sluicegate.cli.home import airflow_home

    with airflow_home():
        from sluicegate.emr.connection import Aws

        # Airflow's hook looks for it once more, in this process.
        os.environ.setdefault(f"AIRFLOW_CONN_{name.upper()}", find_connection(name, state).as_json())
        return Aws(name)
