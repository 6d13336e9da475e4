"""The local AWS lets in whoever signs with its key and its secret, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sluicegate.local.aws import LocalAws

KEY, SECRET = "LOCALKEY", "right/secret+with=signs"
BUCKET = "lake"
STRANGE = "a folder/ü+x&y=z (1)~*!'/part=0,1.csv"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    root: Path = tmp_path_factory.mktemp("signed") / "s3"
    with LocalAws(root, access_key=KEY, secret_key=SECRET, buckets=[BUCKET]) as aws:
        yield aws


def client(aws: LocalAws, service: str, secret: str = SECRET, key: str = KEY, **config: Any) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_what_is_signed_with_the_secret_gets_in(aws: LocalAws, version: str) -> None:
    s3 = client(aws, "s3", signature_version=version)
    s3.put_object(Bucket=BUCKET, Key=STRANGE, Body=b"a,b\n")
    assert s3.get_object(Bucket=BUCKET, Key=STRANGE, Range="bytes=0-0")["Body"].read() == b"a"
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=BUCKET, Prefix="a folder/ü+")["Contents"]] == [STRANGE]
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": STRANGE})
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}]})


def test_a_large_file_in_parts_gets_in(aws: LocalAws, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(9 << 20))
    client(aws, "s3").upload_file(str(file), BUCKET, "large")
    assert client(aws, "s3").head_object(Bucket=BUCKET, Key="large")["ContentLength"] == 9 << 20


def test_emr_wants_a_signature_too(aws: LocalAws) -> None:
    assert client(aws, "emr").list_clusters()["Clusters"] == []
    assert code_of(client(aws, "emr", "wrong").list_clusters) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_wrong_secret_with_the_right_key_is_turned_away(aws: LocalAws, version: str) -> None:
    s3 = client(aws, "s3", "wrong", signature_version=version)
    assert code_of(s3.list_buckets) == "SignatureDoesNotMatch"
    assert code_of(s3.put_object, Bucket=BUCKET, Key="k", Body=b"x") == "SignatureDoesNotMatch"


def test_another_key_is_turned_away_by_name(aws: LocalAws) -> None:
    assert code_of(client(aws, "s3", key="OTHER").list_buckets) == "InvalidAccessKeyId"
    assert "InvalidAccessKeyId" in httpx.get(f"{aws.endpoint_url}/{BUCKET}").text


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_url_opens_what_it_was_made_for_and_nothing_else(aws: LocalAws, version: str) -> None:
    client(aws, "s3").put_object(Bucket=BUCKET, Key=STRANGE, Body=b"here")

    def link(secret: str = SECRET, seconds: int = 60) -> str:
        arguments = {"Bucket": BUCKET, "Key": STRANGE}
        s3 = client(aws, "s3", secret, signature_version=version)
        return str(s3.generate_presigned_url("get_object", arguments, ExpiresIn=seconds))

    assert httpx.get(link()).text == "here"
    assert "SignatureDoesNotMatch" in httpx.get(link().replace("part%3D0", "part%3D1")).text
    assert "SignatureDoesNotMatch" in httpx.put(link(), content=b"other").text
    assert "SignatureDoesNotMatch" in httpx.get(link("wrong")).text
    short = link(seconds=1)
    time.sleep(2.1)
    assert "Request has expired" in httpx.get(short).text


def test_a_header_that_was_changed_on_the_way_is_noticed(aws: LocalAws) -> None:
    s3 = client(aws, "s3")

    def moved(request: Any, **_: Any) -> None:
        request.headers["x-amz-copy-source"] = f"{BUCKET}/another"

    s3.meta.events.register("before-send.s3.CopyObject", moved)
    source = {"Bucket": BUCKET, "Key": "one"}
    assert code_of(s3.copy_object, Bucket=BUCKET, Key="two", CopySource=source) == "SignatureDoesNotMatch"


def test_duckdb_gets_in(aws: LocalAws) -> None:
    """Another signer than botocore's, where its extension is installed."""
    duckdb = pytest.importorskip("duckdb")
    client(aws, "s3").put_object(Bucket=BUCKET, Key="a.csv", Body=b"a\n1\n")
    connection = duckdb.connect()
    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error:
        pytest.skip("httpfs is not installed")
    place = f"ENDPOINT '127.0.0.1:{aws.port}', USE_SSL false, URL_STYLE 'path'"
    connection.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', {place})")
    assert connection.execute(f"SELECT * FROM 's3://{BUCKET}/a.csv'").fetchall() == [(1,)]
