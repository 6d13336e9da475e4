"""Objects at Google, through the interface of its client: what the hook of Airflow's provider hands out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sluicegate.faults import FaultError, classify
from sluicegate.storage import Storage


class PreconditionFailed(Exception):  # noqa: N818 - Google's name
    code = 412


class NotFound(Exception):  # noqa: N818 - Google's name
    code = 404


for kind in (PreconditionFailed, NotFound):
    kind.__module__ = "google.api_core.exceptions"


@dataclass
class Blob:
    """As `google.cloud.storage.Blob`, of what is used."""

    store: Google
    bucket: str
    name: str

    @property
    def kept(self) -> tuple[bytes, int] | None:
        return self.store.objects.get((self.bucket, self.name))

    @property
    def size(self) -> int:
        assert self.kept is not None
        return len(self.kept[0])

    @property
    def generation(self) -> int:
        assert self.kept is not None
        return self.kept[1]

    @property
    def updated(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def download_to_filename(self, filename: str, *, if_generation_match: int, raw_download: bool) -> None:
        assert raw_download
        if self.kept is None:
            raise NotFound(f"GET {self.name}")
        if self.kept[1] != if_generation_match:
            raise PreconditionFailed(f"GET {self.name}")
        Path(filename).write_bytes(self.kept[0])

    def upload_from_filename(self, filename: str) -> None:
        self.store.put(self.bucket, self.name, Path(filename).read_bytes())


@dataclass
class Bucket:
    store: Google
    name: str

    def blob(self, name: str) -> Blob:
        return Blob(self.store, self.name, name)

    def get_blob(self, name: str, **how: Any) -> Blob | None:
        blob = self.blob(name)
        return blob if blob.kept is not None else None

    def delete_blobs(self, names: list[str], on_error: Any) -> None:
        for name in names:
            if self.store.objects.pop((self.name, name), None) is None:
                on_error(name)


@dataclass
class Google:
    objects: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)
    listings: int = 0
    connections: list[str] = field(default_factory=list)

    def put(self, bucket: str, name: str, content: bytes) -> None:
        before = self.objects.get((bucket, name), (b"", 100))
        self.objects[bucket, name] = (content, before[1] + 1)

    def bucket(self, bucket_name: str) -> Bucket:
        return Bucket(self, bucket_name)

    def list_blobs(
        self, bucket_or_name: str, *, prefix: str, max_results: int | None = None, **how: Any
    ) -> Iterator[Blob]:
        self.listings += 1
        names = [name for bucket, name in sorted(self.objects) if bucket == bucket_or_name and name.startswith(prefix)]
        return iter([Blob(self, bucket_or_name, name) for name in names][:max_results])


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Google:
    """The client that the hook of the Google provider hands out."""
    client = Google()

    class GCSHook:
        def __init__(self, gcp_conn_id: str) -> None:
            client.connections.append(gcp_conn_id)

        def get_conn(self) -> Google:
            return client

    module = ModuleType("gcs")
    module.GCSHook = GCSHook  # type: ignore[attr-defined]
    package = "airflow.providers.google"
    for name in (package, f"{package}.cloud", f"{package}.cloud.hooks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, f"{package}.cloud.hooks.gcs", module)
    return client


def test_the_generation_is_the_version_and_a_download_is_held_to_it(google: Google, tmp_path: Path) -> None:
    google.put("lake", "a.csv", b"id\n1\n")
    storage = Storage()
    (part,) = storage.require_parts("gs://lake/a.csv")
    assert (part.version, part.size) == ("101", 5)
    assert storage.fetch(part, tmp_path).read_bytes() == b"id\n1\n"
    google.put("lake", "a.csv", b"id\n2\n")
    with pytest.raises(FaultError, match="SOURCE_CHANGED"):
        storage.fetch(part, tmp_path)


def test_a_folder_and_what_matches_are_listed_once(google: Google) -> None:
    for name in ("in/a.csv", "in/_b.csv", "in/day=1/c.csv", "in/old/d.csv", "in/_SUCCESS"):
        google.put("lake", name, b"x")
    storage = Storage()
    assert [part.uri for part in storage.require_parts("gs://lake/in/")] == [
        "gs://lake/in/a.csv", "gs://lake/in/day=1/c.csv",
    ]  # fmt: skip
    assert google.listings == 1
    assert storage.matching("gs://lake/*/*/*.csv") == ("gs://lake/in/day=1/c.csv", "gs://lake/in/old/d.csv")
    assert [part.uri for part in storage.require_parts("gs://lake/in/o*/*")] == ["gs://lake/in/old/d.csv"]


def test_the_bytes_of_a_folder_and_of_a_file_are_counted(google: Google) -> None:
    for name in ("x/a.csv", "x/b.csv", "x/_SUCCESS", "x/old/c.csv"):
        google.put("lake", name, b"abc")
    sizes = [Storage().size(f"gs://lake/{uri}") for uri in ("x/", "x/a.csv", "x/**/*.csv", "none.csv")]
    assert sizes == [6, 3, 9, 0]


def test_what_is_missing_says_what_is_there(google: Google) -> None:
    google.put("lake", "in/a.csv", b"x")
    with pytest.raises(FaultError) as caught:
        Storage().require_parts("gs://lake/in/b.csv")
    assert "beside it there is a.csv" in caught.value.detail


def test_files_are_written_and_deleted(google: Google, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"new")
    storage = Storage()
    storage.put_atomic(tmp_path / "x", "gs://lake/out/part-0.csv")
    assert google.objects["lake", "out/part-0.csv"][0] == b"new"
    storage.delete_parts(["gs://lake/out/part-0.csv", "gs://lake/out/gone.csv"])
    assert google.objects == {}


def test_the_dataset_may_name_its_connection(google: Google) -> None:
    Storage().exists("gs://lake/a.csv")
    Storage(connection="partner").exists("gs://lake/a.csv")
    assert google.connections == ["google_cloud_default", "partner"]


def test_without_the_provider_the_remedy_is_said() -> None:
    with pytest.raises(FaultError) as caught:
        Storage().require_parts("gs://lake/a.csv")
    assert caught.value.code == "CODE_MISSING"
    assert "pip install 'airflow-provider-sluicegate[gcs]'" in caught.value.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "SOURCE_DENIED"), (404, "SOURCE_MISSING"), (412, "SOURCE_CHANGED"), (429, "SOURCE_UNAVAILABLE"),
     (503, "SOURCE_UNAVAILABLE"), (400, "SOURCE_REJECTED")],
)  # fmt: skip
def test_errors_of_google_are_faults_by_their_status(status: int, code: str) -> None:
    error = type("AnyError", (Exception,), {"code": status, "__module__": "google.api_core.exceptions"})
    assert classify(error("no")).code == code
