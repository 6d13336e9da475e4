from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.local.aws import LocalAws
from sluicegate.local.aws.listing import grouped
from sluicegate.local.aws.objects import Objects
from tests.local.contract import held_to_the_model

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws") / "s3") as server:
        yield server


@pytest.fixture
def s3(aws: LocalAws, request: pytest.FixtureRequest) -> Iterator[Any]:
    client = client_of(aws, "s3")
    client.create_bucket(Bucket="lake")
    yield client
    for folder in (aws.root / "lake").iterdir():
        os.system(f"rm -rf {folder}")


def client_of(aws: LocalAws, service: str, key: str = "any") -> Any:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    return held_to_the_model(client) if service == "emr" else client


def error_code(call: Any, **arguments: Any) -> str:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_what_is_put_is_a_file_and_comes_back_with_its_md5(s3: Any, aws: LocalAws) -> None:
    put = s3.put_object(Bucket="lake", Key="a/ü %+&.csv", Body=b"one")
    assert (aws.root / "lake/a/ü %+&.csv").read_bytes() == b"one"
    got = s3.get_object(Bucket="lake", Key="a/ü %+&.csv")
    assert got["Body"].read() == b"one"
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(b"one").hexdigest()}"'
    assert got["ContentLength"] == 3
    assert [row["Key"] for row in s3.list_objects_v2(Bucket="lake")["Contents"]] == ["a/ü %+&.csv"]


def test_a_file_copied_into_the_folder_is_an_object_at_once_and_follows_its_changes(s3: Any, aws: LocalAws) -> None:
    path = aws.root / "lake/drop/x.csv"
    path.parent.mkdir()
    for text in (b"first", b"other"):
        path.write_bytes(text)
        tag = f'"{hashlib.md5(text).hexdigest()}"'
        assert s3.head_object(Bucket="lake", Key="drop/x.csv")["ETag"] == tag
        assert s3.list_objects_v2(Bucket="lake", Prefix="drop/")["Contents"][0]["ETag"] == tag
    path.unlink()
    assert error_code(s3.head_object, Bucket="lake", Key="drop/x.csv") == "404"
    assert s3.list_objects_v2(Bucket="lake")["Contents"][0]["Key"] == "drop/"  # an empty folder is its marker


def test_deleting_the_last_object_removes_its_folders_but_never_the_bucket(s3: Any, aws: LocalAws) -> None:
    s3.put_object(Bucket="lake", Key="a/b/c", Body=b"")
    s3.delete_object(Bucket="lake", Key="a/b/c")
    s3.delete_object(Bucket="lake", Key="a/b/c")
    assert "Contents" not in s3.list_objects_v2(Bucket="lake")
    assert (aws.root / "lake").is_dir()
    assert error_code(s3.get_object, Bucket="lake", Key="a/b/c") == "NoSuchKey"
    assert error_code(s3.get_object, Bucket="nowhere", Key="a") == "NoSuchBucket"
    assert error_code(s3.put_object, Bucket="nowhere", Key="a", Body=b"x") == "NoSuchBucket"


def test_listing_pages_and_rolls_up_folders(s3: Any) -> None:
    for key in ("a/1", "a/2", "a/b/3", "c", "d/e/f"):
        s3.put_object(Bucket="lake", Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Delimiter="/", PaginationConfig={"PageSize": 1})
    rows = [
        [c["Key"] for c in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        for page in pages
    ]
    assert rows == [["a/"], ["c"], ["d/"]]
    below = s3.list_objects_v2(Bucket="lake", Prefix="a/", Delimiter="/")
    assert [row["Key"] for row in below["Contents"]] == ["a/1", "a/2"]
    assert [row["Prefix"] for row in below["CommonPrefixes"]] == ["a/b/"]
    keys = [
        row["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake", PaginationConfig={"PageSize": 2})
        for row in page["Contents"]
    ]
    assert keys == ["a/1", "a/2", "a/b/3", "c", "d/e/f"]
    after = s3.list_objects_v2(Bucket="lake", StartAfter="a/b/3")["Contents"]
    assert [row["Key"] for row in after] == ["c", "d/e/f"]
    assert s3.list_objects(Bucket="lake", Prefix="d")["Contents"][0]["Key"] == "d/e/f"


def test_ranges_and_conditions_of_reads(s3: Any) -> None:
    tag = s3.put_object(Bucket="lake", Key="k", Body=b"0123456789")["ETag"]
    part = s3.get_object(Bucket="lake", Key="k", Range="bytes=2-4")
    assert (part["Body"].read(), part["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert s3.get_object(Bucket="lake", Key="k", Range="bytes=-3")["Body"].read() == b"789"
    assert error_code(s3.get_object, Bucket="lake", Key="k", Range="bytes=20-") == "InvalidRange"
    assert s3.get_object(Bucket="lake", Key="k", Range="bytes=-99")["Body"].read() == b"0123456789"
    assert s3.get_object(Bucket="lake", Key="k", IfMatch=tag)["Body"].read() == b"0123456789"
    assert error_code(s3.get_object, Bucket="lake", Key="k", IfMatch='"0"') == "PreconditionFailed"
    assert error_code(s3.head_object, Bucket="lake", Key="k", IfNoneMatch=tag) == "304"


def test_conditions_of_writes(s3: Any) -> None:
    first = s3.put_object(Bucket="lake", Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert error_code(s3.put_object, Bucket="lake", Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert error_code(s3.put_object, Bucket="lake", Key="k", Body=b"2", IfMatch='"0"') == "PreconditionFailed"
    s3.put_object(Bucket="lake", Key="k", Body=b"2", IfMatch=first)
    assert error_code(s3.put_object, Bucket="lake", Key="no", Body=b"2", IfMatch=first) == "NoSuchKey"
    assert s3.get_object(Bucket="lake", Key="k")["Body"].read() == b"2"


def test_multipart_upload_joins_its_parts_and_checks_them(s3: Any, aws: LocalAws) -> None:
    upload = s3.create_multipart_upload(Bucket="lake", Key="big")["UploadId"]
    where = {"Bucket": "lake", "Key": "big", "UploadId": upload}
    bodies = [b"a" * 5 * MIB, b"b" * 10]
    tags = [s3.upload_part(**where, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    assert not (aws.root / "lake/big").exists()
    wrong = {"Parts": [{"PartNumber": 1, "ETag": tags[1]}]}
    assert error_code(s3.complete_multipart_upload, **where, MultipartUpload=wrong) == "InvalidPart"
    parts = {"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]}
    done = s3.complete_multipart_upload(**where, MultipartUpload=parts)
    assert done["ETag"] == s3.head_object(Bucket="lake", Key="big")["ETag"]
    assert (aws.root / "lake/big").read_bytes() == b"".join(bodies)
    assert error_code(s3.abort_multipart_upload, **where) == "NoSuchUpload"
    other = s3.create_multipart_upload(Bucket="lake", Key="gone")["UploadId"]
    s3.abort_multipart_upload(Bucket="lake", Key="gone", UploadId=other)
    assert error_code(s3.abort_multipart_upload, Bucket="lake", Key="gone", UploadId=other) == "NoSuchUpload"


def test_what_it_lacks_is_refused_by_name(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="lake", Key="big")["UploadId"]
    assert error_code(s3.list_multipart_uploads, Bucket="lake") == "MethodNotAllowed"
    assert error_code(s3.list_parts, Bucket="lake", Key="big", UploadId=upload) == "MethodNotAllowed"
    assert error_code(s3.get_bucket_versioning, Bucket="lake") == "NotImplemented"
    assert error_code(s3.get_bucket_location, Bucket="lake") == "NotImplemented"


def test_the_managed_transfer_of_a_large_file_goes_both_ways(s3: Any, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB)
    (tmp_path / "in").write_bytes(content)
    s3.upload_file(str(tmp_path / "in"), "lake", "deep/large")
    s3.copy({"Bucket": "lake", "Key": "deep/large"}, "lake", "copy")
    s3.download_file("lake", "copy", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == content


def test_many_are_deleted_in_one_call(s3: Any) -> None:
    for key in ("a", "b/c"):
        s3.put_object(Bucket="lake", Key=key, Body=b"x")
    keys = [{"Key": key} for key in ("a", "b/c", "never")]
    assert len(s3.delete_objects(Bucket="lake", Delete={"Objects": keys})["Deleted"]) == 3
    assert s3.list_objects_v2(Bucket="lake")["KeyCount"] == 0


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a//b", "./a", "a/./b", "."])
def test_keys_never_leave_the_bucket(s3: Any, aws: LocalAws, key: str) -> None:
    before = sorted(aws.root.parent.rglob("*"))
    assert error_code(s3.put_object, Bucket="lake", Key=key, Body=b"x") == "InvalidArgument"
    assert error_code(s3.get_object, Bucket="lake", Key=key) == "InvalidArgument"
    assert sorted(aws.root.parent.rglob("*")) == before


@pytest.mark.parametrize("bucket", [".staging", ".uploads", "..", "%2e%2e"])
def test_folders_that_are_no_buckets_are_not_served(aws: LocalAws, bucket: str) -> None:
    import httpx

    assert httpx.get(f"{aws.endpoint_url}/{bucket}/x").status_code in (400, 404)


def test_a_key_that_collides_with_a_folder_is_a_clear_error(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="a/b", Body=b"x")
    assert error_code(s3.put_object, Bucket="lake", Key="a", Body=b"x") == "InvalidRequest"
    assert error_code(s3.put_object, Bucket="lake", Key="a/b/c", Body=b"x") == "InvalidRequest"
    assert s3.get_object(Bucket="lake", Key="a/b")["Body"].read() == b"x"


def test_folder_markers_come_and_go(s3: Any, aws: LocalAws) -> None:
    s3.put_object(Bucket="lake", Key="empty/", Body=b"")
    assert (aws.root / "lake/empty").is_dir()
    assert s3.head_object(Bucket="lake", Key="empty/")["ContentLength"] == 0
    s3.delete_object(Bucket="lake", Key="empty/")
    assert "Contents" not in s3.list_objects_v2(Bucket="lake")


def test_a_body_that_was_damaged_on_its_way_is_refused(s3: Any) -> None:
    call = error_code(s3.put_object, Bucket="lake", Key="k", Body=b"x", ChecksumCRC32="AAAAAA==")
    assert call == "BadDigest"
    assert error_code(s3.head_object, Bucket="lake", Key="k") == "404"


def test_chunked_framing_with_a_trailer_is_taken_off(s3: Any, aws: LocalAws) -> None:
    import httpx

    body = b"5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "5",
    }
    url = f"{aws.endpoint_url}/lake/chunked"
    assert httpx.put(url, content=body, headers=headers).status_code == 200
    assert (aws.root / "lake/chunked").read_bytes() == b"hello"
    damaged = body.replace(b"hello", b"hullo")
    assert httpx.put(url, content=damaged, headers=headers).status_code == 400
    assert (aws.root / "lake/chunked").read_bytes() == b"hello"


def test_objects_and_their_etags_outlive_the_server(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "s3", buckets=["kept"]) as aws:
        upload = client_of(aws, "s3").create_multipart_upload(Bucket="kept", Key="m")["UploadId"]
        where = {"Bucket": "kept", "Key": "m", "UploadId": upload}
        tag = client_of(aws, "s3").upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
    with LocalAws(tmp_path / "s3") as aws:
        s3 = client_of(aws, "s3")
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        etag = s3.complete_multipart_upload(**where, MultipartUpload=parts)["ETag"]
    with LocalAws(tmp_path / "s3") as aws:
        assert client_of(aws, "s3").head_object(Bucket="kept", Key="m")["ETag"] == etag


def test_what_s3_has_and_the_local_one_has_not_says_so(s3: Any) -> None:
    assert error_code(s3.get_object_acl, Bucket="lake", Key="k") == "NotImplemented"


@settings(deadline=None, max_examples=50)
@given(
    st.sets(st.lists(st.sampled_from(["a", "b", "c.d", "e e"]), min_size=1, max_size=3).map("/".join)),
    st.data(),
)
def test_listing_a_folder_equals_listing_its_keys(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], data: st.DataObject
) -> None:
    """`names(flat)` skips folders below the prefix; what it gives is what rolling up all the keys gives."""
    taken = {key for key in keys if not any(other.startswith(key + "/") for other in keys)}
    root = tmp_path_factory.mktemp("s3")
    objects = Objects(root)
    objects.create_bucket("lake")
    for key in taken:
        objects.put("lake", key, [b"x"])
    prefix = data.draw(st.sampled_from(["", "a", "a/", "a/b", "c.d/", "zz"]))
    everything = sorted((key for key in taken if key.startswith(prefix)), key=str.encode)
    assert objects.names("lake", prefix) == everything
    flat = grouped(objects.names("lake", prefix, flat=True), prefix, "/")
    assert sorted(flat) == sorted(grouped(everything, prefix, "/"))


def test_a_write_makes_a_missing_bucket_only_where_it_was_asked_for(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "strict") as strict:
        assert error_code(client_of(strict, "s3").put_object, Bucket="fresh", Key="a", Body=b"1") == "NoSuchBucket"
    with LocalAws(tmp_path / "open", create_buckets=True) as aws:
        s3 = client_of(aws, "s3")
        s3.put_object(Bucket="fresh", Key="a", Body=b"1")
        assert (tmp_path / "open" / "fresh" / "a").read_bytes() == b"1"
        assert error_code(s3.list_objects_v2, Bucket="never-written") == "NoSuchBucket"
