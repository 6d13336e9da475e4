"""A person's own file into the local S3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.local.stack.errors import StackError, WrongUse

if TYPE_CHECKING:
    from sluicegate.local.stack.stack import Stack

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.*)")


def destination(uri: str, file_name: str) -> tuple[str, str]:
    """Bucket and key; a key that is a folder gets the file's name.

    Raises `WrongUse` if it is not an S3 URI.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise WrongUse(f"{uri!r} is not an S3 URI.", "Write s3://bucket/key; a bucket is 3 to 63 of a-z 0-9 . -")
    key = match["key"]
    return match["bucket"], key + file_name if not key or key.endswith("/") else key


def put_file(stack: Stack, file: Path, uri: str) -> str:
    """Upload `file`, in a bucket that is made if it is missing; the URI it now has.

    Raises `WrongUse`, or `StackError` if the local S3 does not take it.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = destination(uri, file.name)
    client = stack.s3()
    try:
        if bucket not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        client.upload_file(str(file), bucket, key)
    except (BotoCoreError, ClientError, Boto3Error, OSError) as error:
        raise StackError(f"The local S3 did not take it: {error}", f"Its log: {stack.state.log('aws')}") from error
    return f"s3://{bucket}/{key}"
