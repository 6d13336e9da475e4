"""The objects of an S3 by URI: what a test puts there is what pipelines find."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from sluicegate.storage import parse_uri

if TYPE_CHECKING:
    from sluicegate.local.aws.objects import Objects

__all__ = ["ScratchS3"]

_KEY = "test"


class ScratchS3:
    """The objects, and how clients reach them.

    :param endpoint_url: where it answers
    """

    def __init__(self, objects: Objects, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._objects = objects

    @property
    def connection(self) -> str:
        """The S3 as an Airflow connection, for an environment variable `AIRFLOW_CONN_…`."""
        extra = {
            "region_name": "us-east-1",
            "endpoint_url": self.endpoint_url,
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        }
        return json.dumps({"conn_type": "aws", "login": _KEY, "password": _KEY, "extra": extra})

    def client(self) -> Any:
        """A client of boto3."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=self.endpoint_url, region_name="us-east-1",
            aws_access_key_id=_KEY, aws_secret_access_key=_KEY, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    def make_bucket(self, name: str) -> None:
        """There may be one already."""
        self._objects.create_bucket(name)

    def put(self, uri: str, content: str | bytes) -> None:
        """Make `content` the object at `uri`; text is encoded as UTF-8, and packed where the name ends in `.gz`."""
        at = parse_uri(uri)
        if isinstance(content, str):
            content = content.encode()
            if at.name.endswith(".gz"):
                # The same text is the same bytes, and so the same version for a ledger.
                content = gzip.compress(content, mtime=0)
        self._objects.put(at.bucket, at.key, [content])

    def get(self, uri: str) -> bytes:
        """The content at `uri`.

        :raises FileNotFoundError: when there is nothing.
        """
        from sluicegate.local.aws.objects import S3Error

        at = parse_uri(uri)
        try:
            file, _ = self._objects.open(at.bucket, at.key)
        except S3Error as missing:
            there = ", ".join(self.uris()) or "nothing"
            raise FileNotFoundError(f"{uri} does not exist; there is {there}") from missing
        with file:
            return file.read()

    def uris(self, below: str = "s3://") -> list[str]:
        """Of all objects whose URI begins with `below`, sorted."""
        found = [f"s3://{name}/{key}" for name in self._objects.buckets() for key in self._objects.names(name)]
        return sorted(uri for uri in found if uri.startswith(below))
