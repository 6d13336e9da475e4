"""Clients of a running stack, signed in with its secrets. No proxy is asked. Imported when needed."""

from __future__ import annotations

import boto3
import httpx
from botocore.client import BaseClient
from botocore.config import Config

from sluicegate.local.airflow import ADMIN, REGION
from sluicegate.local.state import Secrets


def airflow_api(url: str, secrets: Secrets) -> httpx.Client:
    """Raises `httpx.HTTPError` if the api-server does not answer or does not let the admin in."""
    credentials = {"username": ADMIN, "password": secrets.admin_password}
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        answer = client.post("/auth/token", json=credentials).raise_for_status()
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return httpx.Client(base_url=f"{url}/api/v2", headers=headers, trust_env=False, timeout=60)


def aws(service: str, endpoint: str, secrets: Secrets) -> BaseClient:
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=secrets.aws_access_key,
        aws_secret_access_key=secrets.aws_secret_key,
        region_name=REGION,
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
