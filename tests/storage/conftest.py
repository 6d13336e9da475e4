"""An S3 on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def s3(s3_client: Any) -> Any:
    """A client, and an empty bucket called `lake`."""
    s3_client.create_bucket(Bucket="lake")
    for entry in s3_client.list_objects_v2(Bucket="lake").get("Contents", []):
        s3_client.delete_object(Bucket="lake", Key=entry["Key"])
    return s3_client
