"""Objects in Google Cloud Storage, through the hook of Airflow's Google provider. A version is a generation.

The provider is an extra of this one (`gcs`), and imported at the first `gs://`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sluicegate.faults.errors import fault
from sluicegate.graph.glob import Glob
from sluicegate.storage.naming import faults_of
from sluicegate.storage.part import Part, downloaded, is_part
from sluicegate.storage.traces import Traces
from sluicegate.storage.uri import Address

__all__ = ["DEFAULT_CONNECTION", "GcsClient", "GcsObjects", "gcs_client"]

DEFAULT_CONNECTION = "google_cloud_default"
_HASTY: Mapping[str, Any] = {"timeout": 5, "retry": None}


class GcsClient(Protocol):
    """What is used of `google.cloud.storage.Client`; tests bring their own."""

    def bucket(self, bucket_name: str) -> Any: ...
    def list_blobs(
        self, bucket_or_name: str, *, prefix: str, max_results: int | None = ..., **how: Any
    ) -> Iterable[Any]: ...


def gcs_client(connection: str) -> GcsClient:
    """The client of an Airflow connection.

    :raises FaultError: CODE_MISSING when the Google provider is not installed.
    """
    try:
        from airflow.providers.google.cloud.hooks.gcs import (  # type: ignore[import-not-found, unused-ignore]
            GCSHook,
        )
    except ImportError as missing:
        remedy = "pip install 'airflow-provider-sluicegate[gcs]'"
        raise fault(
            "CODE_MISSING", f"gs:// needs apache-airflow-providers-google, which is not installed: {remedy}"
        ) from (missing)
    client: GcsClient = GCSHook(gcp_conn_id=connection).get_conn()
    return client


class GcsObjects:
    """One kind of place behind `Storage`."""

    def __init__(self, client: GcsClient) -> None:
        self.client = client

    def list_parts(self, address: Address) -> tuple[Part, ...]:
        if address.folder:
            return self.list_folder(address)[0]
        with faults_of(address.uri):
            blob = self.client.bucket(address.bucket).get_blob(address.key)
        return () if blob is None else (_part(address.uri, blob),)

    def list_folder(self, address: Address) -> tuple[tuple[Part, ...], Traces]:
        """The parts of a folder, and what else its writer left in it, in one listing."""
        parts, traces = [], Traces()
        for relative, blob in self._blobs(address):
            traces.see(relative, _updated(blob))
            if is_part(relative, blob.size or 0):
                parts.append(_part(address.child(relative), blob))
        return tuple(sorted(parts, key=lambda part: part.uri)), traces

    def list_matching(self, folder: Address, wanted: Glob) -> tuple[Part, ...]:
        """The objects below `folder` that match, sorted by name."""
        found = [
            _part(folder.child(relative), blob)
            for relative, blob in self._blobs(folder)
            if blob.size and wanted.matches(relative)
        ]
        return tuple(sorted(found, key=lambda part: part.uri))

    def part_uris(self, address: Address) -> tuple[str, ...]:
        return tuple(part.uri for part in self.list_parts(address))

    def exists(self, address: Address) -> bool:
        """Whether there is an object."""
        return bool(self.list_parts(address))

    def sizes(self, address: Address) -> Iterator[tuple[str, int]]:
        """Path below a folder and bytes of each object; of a file, its own bytes."""
        if not address.folder:
            yield from (("", part.size) for part in self.list_parts(address))
            return
        for relative, blob in self._blobs(address):
            yield relative, int(blob.size or 0)

    def glimpse(self, address: Address) -> Iterator[tuple[str, Part]]:
        """Path below a folder and the part that each object is, as the listing goes on; of a file, itself."""
        with faults_of(address.uri):
            if not address.folder:
                blob = self.client.bucket(address.bucket).get_blob(address.key, **_HASTY)
                yield from () if blob is None else [("", _part(address.uri, blob))]
                return
            for blob in self.client.list_blobs(address.bucket, prefix=address.key, **_HASTY):
                relative = blob.name.removeprefix(address.key)
                yield relative, _part(address.child(relative), blob)

    def below(self, address: Address, depth: int | None) -> Iterator[str]:
        """The paths of all objects below a folder that are not empty, `depth` names deep where that is known."""
        for relative, blob in self._blobs(address):
            if blob.size and depth in (None, relative.count("/") + 1):
                yield relative

    def fetch(self, part: Part, address: Address, into: Path) -> Path:
        """Download `part` to a new file in `into`; its name keeps the suffix.

        :raises FaultError: SOURCE_CHANGED when there is another version by now, SOURCE_MISSING when none.
        """
        target = into / downloaded(part, address.name)
        with faults_of(part.uri):
            blob = self.client.bucket(address.bucket).blob(address.key)
            # As it is stored: else what was uploaded with `Content-Encoding: gzip` would come without.
            blob.download_to_filename(str(target), if_generation_match=int(part.version), raw_download=True)
        return target

    def verify(self, part: Part, address: Address) -> None:
        """Nothing to do: what was fetched is one version, whatever has come since."""

    def put_atomic(self, path: Path, address: Address) -> None:
        with faults_of(address.uri):
            self.client.bucket(address.bucket).blob(address.key).upload_from_filename(str(path))

    def delete_parts(self, addresses: tuple[Address, ...]) -> None:
        for address in addresses:
            with faults_of(address.uri):
                bucket = self.client.bucket(address.bucket)
                bucket.delete_blobs([address.key], on_error=lambda gone: None)

    def neighbours(self, address: Address, limit: int) -> tuple[str, ...]:
        """Names of objects where `address` should be, for the message that it is missing."""
        prefix = address.key if address.folder else address.key.rpartition("/")[0] + "/"
        prefix = prefix.lstrip("/")
        with faults_of(address.uri):
            found = list(self.client.list_blobs(address.bucket, prefix=prefix, max_results=limit))
        return tuple(blob.name.removeprefix(prefix) for blob in found)

    def _blobs(self, address: Address) -> Iterator[tuple[str, Any]]:
        with faults_of(address.uri):
            for blob in self.client.list_blobs(address.bucket, prefix=address.key):
                yield blob.name.removeprefix(address.key), blob


def _part(uri: str, blob: Any) -> Part:
    return Part(uri, int(blob.size or 0), str(blob.generation), _updated(blob))


def _updated(blob: Any) -> datetime:
    updated: datetime = blob.updated
    return updated.astimezone(UTC)
