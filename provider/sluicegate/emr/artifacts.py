"""Job files in S3, under the hash of their content: uploaded once, and what runs never changes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sluicegate.faults import classify, fault

__all__ = ["artifact_uri", "read_job", "split_s3", "upload_content"]

log = logging.getLogger(__name__)


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    :raises FatalFault: WRONG_USE for anything else.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise fault("WRONG_USE", f"expected an s3:// URI, not {uri!r}", uri=uri)
    return bucket, key


def read_job(path: str, root: Path) -> bytes:
    """The job file `path`, which is looked for from `root`.

    :raises FatalFault: CODE_MISSING when it is not there or not a file below `root`.
    """
    file = root / path
    if not file.resolve().is_relative_to(root.resolve()):
        raise fault("CODE_MISSING", f"{path} is not below the dags root", path=path)
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as missing:
        raise fault("CODE_MISSING", f"there is no job file {path} below {root}", path=path) from missing


def artifact_uri(content: bytes, name: str, artifacts: str) -> str:
    """`<artifacts>/<sha256>/<name>`.

    :raises FatalFault: WRONG_USE when `artifacts` is not in S3
    """
    bucket, prefix = split_s3(artifacts)
    prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    return f"s3://{bucket}/{prefix}{hashlib.sha256(content).hexdigest()}/{name}"


def upload_content(s3: Any, content: bytes, name: str, *, artifacts: str) -> str:
    """The URI under which a cluster finds `content`. It is put there unless it is: two that do so at once put the same.

    :param s3: a boto3 S3 client
    :raises FaultError: AWS_NOT_FOUND when the bucket does not exist, or what AWS says.
    """
    uri = artifact_uri(content, name, artifacts)
    bucket, key = split_s3(uri)
    try:
        if not _exists(s3, bucket, key):
            s3.put_object(Bucket=bucket, Key=key, Body=content)
            log.info("Uploaded %s to %s", name, uri)
    except Exception as error:
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchBucket":
            raise fault(
                "AWS_NOT_FOUND",
                f"the bucket {bucket!r} for job files does not exist: create it, or set `artifacts:` in defaults.yaml",
                bucket=bucket,
            ) from error
        raise classify(error) from error
    return uri


def _exists(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # HEAD has no body and says 404 for a missing key and a missing bucket alike; the PUT shows which.
        # Without ListBucket permission a missing key is a 403; the PUT shows that as well.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 404):
            return False
        raise
    return True
