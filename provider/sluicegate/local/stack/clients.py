"""Clients of the local AWS, signed in with the stack's secrets. No proxy is asked. Imported when needed."""

from __future__ import annotations

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from sluicegate.local.stack.airflow import REGION
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
