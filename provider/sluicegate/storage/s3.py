"""Objects in S3: downloads pinned to one version and resumed, uploads that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import fault
from sluicegate.graph.glob import Glob
from sluicegate.storage.naming import faults_of
from sluicegate.storage.part import Part, downloaded, is_part
from sluicegate.storage.traces import Traces
from sluicegate.storage.uri import Address

__all__ = ["S3Client", "S3Objects", "s3_client"]

_CHUNK = 1 << 20
_DOWNLOAD_ATTEMPTS = 5
_DELETE_BATCH = 1000


class S3Client(Protocol):
    """What is used of boto3's client; tests and the command line bring their own."""

    def head_bucket(self, *, Bucket: str) -> Mapping[str, Any]: ...  # noqa: N803
    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]: ...  # noqa: N803
    def get_object(self, *, Bucket: str, Key: str, IfMatch: str = ..., Range: str = ...) -> Mapping[str, Any]: ...  # noqa: N803
    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> Mapping[str, Any]: ...  # noqa: N803
    def get_paginator(self, operation_name: str) -> Any: ...
    def copy(self, *, CopySource: Mapping[str, str], Bucket: str, Key: str) -> None: ...  # noqa: N803
    def upload_file(self, *, Filename: str, Bucket: str, Key: str) -> None: ...  # noqa: N803
    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> Mapping[str, Any]: ...  # noqa: N803


def s3_client(aws_conn_id: str, *, hasty: bool = False) -> S3Client:
    """The client of an Airflow connection; what the connection says about retries and timeouts wins.

    :param hasty: gives up after seconds

    :raises FaultError: CONNECTION_MISSING for any but `aws_default`, which may come from the environment.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    if aws_conn_id != AwsBaseHook.default_conn_name:
        try:
            # The hook itself would go on with whatever credentials the machine has.
            AwsBaseHook.get_connection(aws_conn_id)
        except Exception as missing:
            raise classify(missing) from missing
    hook: Any = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="s3")
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60)
    if hasty:
        config = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=5)
    client: S3Client = hook.get_client_type(config=config.merge(hook.config))
    return client


class S3Objects:
    """One kind of place behind `Storage`."""

    def __init__(self, client: S3Client) -> None:
        self.client = client

    def list_parts(self, address: Address) -> tuple[Part, ...]:
        with faults_of(address.uri):
            if address.folder:
                return self.list_folder(address)[0]
            found = self._head(address)
            return () if found is None else (found,)

    def list_folder(self, address: Address) -> tuple[tuple[Part, ...], Traces]:
        """The parts of a folder, and what else its writer left in it, in one listing."""
        parts, traces = [], Traces()
        with faults_of(address.uri):
            for relative, entry in self._entries(address):
                traces.see(relative, entry["LastModified"])
                if is_part(relative, entry["Size"]):
                    parts.append(_part(address, relative, entry))
        return tuple(sorted(parts, key=lambda part: part.uri)), traces

    def part_uris(self, address: Address) -> tuple[str, ...]:
        return tuple(part.uri for part in self.list_parts(address))

    def list_matching(self, folder: Address, wanted: Glob) -> tuple[Part, ...]:
        """The objects below `folder` that match, sorted by name."""
        with faults_of(wanted.uri):
            found = [
                _part(folder, relative, entry)
                for relative, entry in self._entries(folder)
                if entry["Size"] and wanted.matches(relative)
            ]
        return tuple(sorted(found, key=lambda part: part.uri))

    def exists(self, address: Address) -> bool:
        """Whether there is an object."""
        with faults_of(address.uri):
            return self._head(address) is not None

    def sizes(self, address: Address) -> Iterator[tuple[str, int]]:
        """Path below a folder and bytes of each object; of a file, its own bytes."""
        with faults_of(address.uri):
            if not address.folder:
                yield from (("", part.size) for part in self.list_parts(address))
                return
            for relative, entry in self._entries(address):
                yield relative, entry["Size"]

    def glimpse(self, address: Address) -> Iterator[tuple[str, Part]]:
        """Path below a folder and the part that each object is, as the listing goes on; of a file, itself."""
        with faults_of(address.uri):
            if not address.folder:
                yield from (("", part) for part in self.list_parts(address))
                return
            for relative, entry in self._entries(address):
                yield relative, _part(address, relative, entry)

    def below(self, address: Address, depth: int | None) -> Iterator[str]:
        """The paths of all objects below a folder that are not empty, `depth` names deep where that is known."""
        with faults_of(address.uri):
            for relative, entry in self._entries(address):
                if entry["Size"] and depth in (None, relative.count("/") + 1):
                    yield relative

    def fetch(self, part: Part, address: Address, into: Path) -> Path:
        """Download `part` to a new file in `into`; its name keeps the suffix.

        :raises FaultError: SOURCE_CHANGED when there is another version by now, SOURCE_MISSING when none.
        """
        target = into / downloaded(part, address.name)
        with faults_of(part.uri), target.open("wb") as sink:
            for attempt in range(1, _DOWNLOAD_ATTEMPTS + 1):
                try:
                    self._download(part, address, sink)
                    break
                except Exception as broken:
                    # botocore repeats requests, but not a body that stops half way.
                    if attempt == _DOWNLOAD_ATTEMPTS or classify(broken).code not in {
                        "AWS_UNAVAILABLE",
                        "NETWORK",
                    }:
                        raise
        return target

    def verify(self, part: Part, address: Address) -> None:
        """Nothing to do: what was fetched is one version, whatever has come since."""

    def put_atomic(self, path: Path, address: Address) -> None:
        with faults_of(address.uri):
            self.client.upload_file(Filename=str(path), Bucket=address.bucket, Key=address.key)

    def delete_parts(self, addresses: tuple[Address, ...]) -> None:
        by_bucket: dict[str, list[str]] = {}
        for address in addresses:
            by_bucket.setdefault(address.bucket, []).append(address.key)
        for bucket, keys in by_bucket.items():
            for batch in _batches(keys, _DELETE_BATCH):
                with faults_of(f"s3://{bucket}/{batch[0]}"):
                    wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
                    answer = self.client.delete_objects(Bucket=bucket, Delete=wanted)
                    if errors := answer.get("Errors"):
                        first = errors[0]
                        code = "AWS_DENIED" if first.get("Code") == "AccessDenied" else "AWS_UNAVAILABLE"
                        raise fault(code, f"{first.get('Key')} could not be deleted: {first.get('Code')}")

    def switch(self, staged: Address, address: Address) -> None:
        """Copy one object over another in the server; `staged` stays.

        :raises FaultError: SOURCE_MISSING when it is gone.
        """
        with faults_of(staged.uri):
            source = {"Bucket": staged.bucket, "Key": staged.key}
            self.client.copy(CopySource=source, Bucket=address.bucket, Key=address.key)

    def tail(self, address: Address, size: int) -> bytes:
        with faults_of(address.uri):
            answer = self.client.get_object(Bucket=address.bucket, Key=address.key, Range=f"bytes=-{size}")
            with closing(answer["Body"]) as body:
                return b"".join(body.iter_chunks(_CHUNK))

    def neighbours(self, address: Address, limit: int) -> tuple[str, ...]:
        """Names of objects where `address` should be, for the message that it is missing."""
        prefix = address.key if address.folder else address.key.rpartition("/")[0] + "/"
        prefix = prefix.lstrip("/")
        with faults_of(address.uri):
            answer = self.client.list_objects_v2(Bucket=address.bucket, Prefix=prefix, MaxKeys=limit)
        return tuple(entry["Key"].removeprefix(prefix) for entry in answer.get("Contents", ()))

    def region(self, address: Address) -> str:
        """The Region of the bucket; empty where the server has none."""
        with faults_of(address.uri):
            answer = self.client.head_bucket(Bucket=address.bucket)
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or "")

    def _head(self, address: Address) -> Part | None:
        try:
            head = self.client.head_object(Bucket=address.bucket, Key=address.key)
        except Exception as error:
            if classify(error).code == "SOURCE_MISSING":
                return None
            raise
        return Part(address.uri, head["ContentLength"], _etag(head["ETag"]), head["LastModified"])

    def _entries(self, address: Address) -> Iterator[tuple[str, Mapping[str, Any]]]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=address.bucket, Prefix=address.key)
        for page in pages:
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(address.key), entry

    def _download(self, part: Part, address: Address, sink: Any) -> None:
        offset = sink.tell()
        if offset >= part.size > 0:
            return
        # A range keeps a resumed download to the bytes that are missing; IfMatch keeps it to one version.
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self.client.get_object(Bucket=address.bucket, Key=address.key, IfMatch=f'"{part.version}"', **wanted)
        # Not the body's own `with`: that hands out what is below it and does not notice a short body.
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                sink.write(chunk)


def _part(folder: Address, relative: str, entry: Mapping[str, Any]) -> Part:
    return Part(folder.child(relative), entry["Size"], _etag(entry["ETag"]), entry["LastModified"])


def _etag(raw: str) -> str:
    return raw.removeprefix("W/").strip('"')


def _batches(keys: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
