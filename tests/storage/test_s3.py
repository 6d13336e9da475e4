"""Objects of a real S3 server: one version from listing to reading, and every error a fault."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import IncompleteReadError

from sluicegate.faults import FaultError
from sluicegate.storage import Part, Storage, version


@pytest.fixture
def storage(s3: Any) -> Storage:
    return Storage(client=s3)


def put(s3: Any, key: str, body: bytes = b"x") -> None:
    s3.put_object(Bucket="lake", Key=key, Body=body)


def test_one_object_has_its_etag_without_quotes_as_version(s3: Any, storage: Storage) -> None:
    put(s3, "a.csv", b"id\n1\n")
    (part,) = storage.list_parts("s3://lake/a.csv")
    assert part.uri == "s3://lake/a.csv"
    assert part.size == 5
    assert '"' not in part.version
    assert part.last_modified.tzinfo is not None


def test_an_object_has_the_same_version_alone_and_in_its_folder(s3: Any, storage: Storage) -> None:
    put(s3, "f/a.csv")
    assert storage.list_parts("s3://lake/f/a.csv") == storage.list_parts("s3://lake/f/")


def test_the_same_content_uploaded_again_is_the_same_version(s3: Any, storage: Storage) -> None:
    put(s3, "a.csv", b"same")
    before = version(storage.list_parts("s3://lake/a.csv"))
    put(s3, "a.csv", b"same")
    assert version(storage.list_parts("s3://lake/a.csv")) == before


def test_a_folder_is_its_parts_by_name(s3: Any, storage: Storage) -> None:
    for key in (
        "f/part-1.csv",
        "f/part-0.csv",
        "f/_SUCCESS",
        "f/.x.crc",
        "f/day=1/p.csv",
        "f/old/p.csv",
        "f2/no.csv",
    ):
        put(s3, key)
    for empty in ("f/", "f/part-2.csv"):
        put(s3, empty, b"")
    names = [part.uri for part in storage.list_parts("s3://lake/f/")]
    assert names == ["s3://lake/f/day=1/p.csv", "s3://lake/f/part-0.csv", "s3://lake/f/part-1.csv"]


def test_a_name_that_no_file_of_this_machine_can_have_is_fetched(s3: Any, storage: Storage, tmp_path: Path) -> None:
    key = f"f//{'ü' * 400}.csv.gz"
    put(s3, key, b"content")
    (part,) = storage.list_parts("s3://lake/f//")
    assert part.uri == f"s3://lake/{key}"
    path = storage.fetch(part, tmp_path)
    assert path.read_bytes() == b"content"
    assert path.name.endswith(".csv.gz")


def test_a_folder_of_more_than_a_page_is_listed_to_its_end(
    s3: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    for number in range(10):
        put(s3, f"many/{number:05}.csv")
    parts = storage.list_parts("s3://lake/many/")
    assert len(parts) == 10
    storage.delete_parts(parts)
    assert storage.list_parts("s3://lake/many/") == ()


def test_an_object_is_fetched_under_its_suffix(s3: Any, storage: Storage, tmp_path: Path) -> None:
    body = bytes(range(256)) * 9000
    put(s3, "f/a.csv.gz", body)
    (part,) = storage.list_parts("s3://lake/f/a.csv.gz")
    path = storage.fetch(part, tmp_path)
    assert path.parent == tmp_path
    assert path.name.endswith("a.csv.gz")
    assert path.read_bytes() == body


def test_parts_of_one_name_in_two_folders_do_not_overwrite_each_other(
    s3: Any, storage: Storage, tmp_path: Path
) -> None:
    put(s3, "f/day=1/p.csv", b"one")
    put(s3, "f/day=2/p.csv", b"two")
    fetched = [storage.fetch(part, tmp_path) for part in storage.list_parts("s3://lake/f/")]
    assert [path.read_bytes() for path in fetched] == [b"one", b"two"]


def test_an_object_that_was_replaced_since_it_was_listed_is_refused(s3: Any, storage: Storage, tmp_path: Path) -> None:
    put(s3, "a.csv", b"old")
    (part,) = storage.list_parts("s3://lake/a.csv")
    put(s3, "a.csv", b"new")
    with pytest.raises(FaultError) as caught:
        storage.fetch(part, tmp_path)
    assert caught.value.code == "SOURCE_CHANGED"
    assert "s3://lake/a.csv" in caught.value.detail


def test_an_object_that_is_gone_is_missing(s3: Any, storage: Storage, tmp_path: Path) -> None:
    put(s3, "a.csv")
    (part,) = storage.list_parts("s3://lake/a.csv")
    s3.delete_object(Bucket="lake", Key="a.csv")
    with pytest.raises(FaultError) as caught:
        storage.fetch(part, tmp_path)
    assert caught.value.code == "SOURCE_MISSING"


def test_what_is_missing_says_what_is_there_instead(s3: Any, storage: Storage) -> None:
    put(s3, "orders/2026-01-02.csv")
    with pytest.raises(FaultError) as caught:
        storage.require_parts("s3://lake/orders/2026-01-01.csv")
    assert caught.value.code == "SOURCE_MISSING"
    assert "2026-01-02.csv" in caught.value.detail


def test_a_bucket_that_does_not_exist_is_no_missing_source(storage: Storage) -> None:
    with pytest.raises(FaultError) as caught:
        storage.require_parts("s3://no-such-bucket/a.csv")
    assert caught.value.code == "AWS_NOT_FOUND"


def test_a_folder_written_whole_but_empty_exists(s3: Any, storage: Storage) -> None:
    assert not storage.exists("s3://lake/out/")
    put(s3, "out/_SUCCESS", b"")
    assert storage.exists("s3://lake/out/")


def test_a_put_replaces_the_object(s3: Any, storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for body in (b"first", b"second"):
        source.write_bytes(body)
        storage.put_atomic(source, "s3://lake/out/a.csv")
        assert s3.get_object(Bucket="lake", Key="out/a.csv")["Body"].read() == body


def test_a_put_into_a_bucket_that_does_not_exist_is_a_fault(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    with pytest.raises(FaultError) as caught:
        storage.put_atomic(tmp_path / "source", "s3://no-such-bucket/a.csv")
    assert caught.value.code == "AWS_NOT_FOUND"


def test_an_s3_that_does_not_answer_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening: refused
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(FaultError) as caught:
            Storage(client=client).list_parts("s3://lake/a.csv")
    assert caught.value.code == "AWS_UNAVAILABLE"


class Breaking:
    """A client whose bodies break off after 3 bytes, `times` times."""

    def __init__(self, client: Any, times: int) -> None:
        self.client, self.times, self.ranges = client, times, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_object(self, **arguments: str) -> Mapping[str, Any]:
        self.ranges.append(arguments.get("Range", ""))
        answer = self.client.get_object(**arguments)
        if self.times:
            self.times -= 1
            body = answer["Body"]

            def broken(size: int) -> Any:
                yield body.read(3)
                raise IncompleteReadError(actual_bytes=3, expected_bytes=9)

            body.iter_chunks = broken
        return answer


def test_a_download_that_breaks_off_goes_on_where_it_stopped(s3: Any, tmp_path: Path) -> None:
    put(s3, "a.csv", b"0123456789")
    client = Breaking(s3, times=3)
    storage = Storage(client=client)  # type: ignore[arg-type]
    (part,) = storage.list_parts("s3://lake/a.csv")
    assert storage.fetch(part, tmp_path).read_bytes() == b"0123456789"
    assert client.ranges == ["", "bytes=3-", "bytes=6-", "bytes=9-"]


def test_a_download_that_never_ends_well_is_unavailable(s3: Any, tmp_path: Path) -> None:
    put(s3, "a.csv", b"0" * 100)
    storage = Storage(client=Breaking(s3, times=99))  # type: ignore[arg-type]
    (part,) = storage.list_parts("s3://lake/a.csv")
    with pytest.raises(FaultError) as caught:
        storage.fetch(part, tmp_path)
    assert caught.value.code == "AWS_UNAVAILABLE"


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **extra: str) -> None:
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def test_the_client_comes_from_the_airflow_connection(
    s3: Any, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "a.csv")
    connect(monkeypatch, "lake_account", endpoint_url=s3_endpoint, region_name="us-east-1")
    assert [part.uri for part in Storage("lake_account").list_parts("s3://lake/a.csv")] == ["s3://lake/a.csv"]


def test_a_connection_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        Storage("no_such_connection").list_parts("s3://lake/a.csv")
    assert caught.value.code == "CONNECTION_MISSING"
    assert "no_such_connection" in caught.value.detail
    assert Storage("no_such_connection").list_parts(f"{tmp_path}/") == ()  # nothing local asks for it


def test_an_object_named_like_a_part_of_its_uri_is_told_apart(s3: Any, storage: Storage) -> None:
    put(s3, "f.csv")
    put(s3, "f.csv.bak")
    parts: tuple[Part, ...] = storage.list_parts("s3://lake/f.csv")
    assert [part.uri for part in parts] == ["s3://lake/f.csv"]


def test_many_objects_are_listed_and_none_is_asked_for_by_itself(s3: Any, tmp_path: Path) -> None:
    for number in range(7):
        s3.put_object(Bucket="lake", Key=f"in/day=1/{number}.csv", Body=b"x")
    s3.put_object(Bucket="lake", Key="in/_SUCCESS", Body=b"")
    calls: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    assert len(Storage(client=s3).require_parts("s3://lake/in/")) == 7
    assert calls == ["ListObjectsV2"]
    calls.clear()
    assert len(Storage(client=s3).require_parts("s3://lake/in/*/*.csv")) == 7
    assert calls == ["HeadObject", "ListObjectsV2"]
