"""Clients of the local AWS, signed in with the stack's secrets. No proxy is asked. Imported when needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials

from sluicegate.local.stack.airflow import REGION
from sluicegate.local.stack.errors import WrongUse
from sluicegate.local.stack.state import Secrets


def aws(service: str, endpoint: str, secrets: Secrets) -> BaseClient:
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=secrets.aws_access_key,
        aws_secret_access_key=secrets.aws_secret_key,
        region_name=REGION,
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def chaos(endpoint: str, secrets: Secrets, method: str = "GET", said: Mapping[str, object] | None = None) -> Any:
    """Asks the local EMR what goes wrong on purpose (GET), arms one exact fault (POST) or disarms all (DELETE).

    Raises `WrongUse` if it cannot be armed.
    """
    body = json.dumps(dict(said)) if said else ""
    request = AWSRequest(method=method, url=f"{endpoint}/_sluicegate/chaos", data=body)
    known = Credentials(secrets.aws_access_key, secrets.aws_secret_key)
    SigV4Auth(known, "elasticmapreduce", REGION).add_auth(request)
    with httpx.Client(trust_env=False, timeout=10) as client:
        answer = client.request(method, request.url, content=body, headers=dict(request.headers)).json()
    if "error" in answer:
        raise WrongUse(f"The fault cannot be armed: {answer['error']}", "docs/clusters.md has the faults.")
    return answer
