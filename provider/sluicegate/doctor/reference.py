"""What the local EMR says to the calls of a conformance run: asked of one that lives for that moment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluicegate.doctor.conformance import Conversation, talk

__all__ = ["local_conversation"]


def local_conversation(request: Mapping[str, Any]) -> Conversation:
    """The same conversation with a local EMR, whose jobs do nothing: what they say is not compared."""
    import boto3

    from sluicegate.local.aws import LocalAws
    from sluicegate.local.aws.clusters import Cluster, Step
    from sluicegate.local.aws.spark import Command

    def ends(cluster: Cluster, step: Step, work: Path) -> Command:
        del cluster
        words = ("false",) if "--fail" in step.args else ("true",)
        return Command(words, {"PATH": "/usr/bin:/bin"}, work, None)

    with (
        tempfile.TemporaryDirectory(prefix="sluicegate-") as folder,
        LocalAws(Path(folder) / "s3", builder=ends, create_buckets=True) as aws,
    ):
        known = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
        emr = boto3.client("emr", endpoint_url=aws.endpoint_url, **known)
        return talk(emr, request, poll=0.02, patience=60)
