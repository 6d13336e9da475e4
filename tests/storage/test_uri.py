"""Which place a URI means."""

from __future__ import annotations

import pytest

from sluicegate.faults import FaultError
from sluicegate.storage import parse_uri


@pytest.mark.parametrize(
    ("uri", "scheme", "bucket", "key", "folder"),
    [
        ("s3://lake/a/b.csv", "s3", "lake", "a/b.csv", False),
        ("s3://lake/a/", "s3", "lake", "a/", True),
        ("s3a://lake/a/", "s3", "lake", "a/", True),
        ("gs://lake/a/b.csv", "gs", "lake", "a/b.csv", False),
        ("https://h:8443/a/b.csv?x=/1/", "https", "h:8443", "a/b.csv", False),
        ("http://h/a/", "http", "h", "a/", True),
        ("https://h/export/?format=csv", "https", "h", "export/", False),
        ("file:///data/b.csv", "file", "", "/data/b.csv", False),
        ("file://data/b/", "file", "", "data/b/", True),
        ("/data/b.csv", "file", "", "/data/b.csv", False),
        ("data/day=1/b%20c.csv", "file", "", "data/day=1/b%20c.csv", False),
    ],
)
def test_a_uri_is_a_place(uri: str, scheme: str, bucket: str, key: str, folder: bool) -> None:
    address = parse_uri(uri)
    assert (address.scheme, address.bucket, address.key, address.folder) == (scheme, bucket, key, folder)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("gs://lake", "gs://<bucket>/<key>"),
        ("https://example.com", "https://<host>/<file>"),
        ("table://warehouse/orders", "is a table"),
        ("ftp://x/y", "unknown scheme"),
        ("s3://lake", "s3://<bucket>/<key>"),
        ("s3://lake/", "s3://<bucket>/<key>"),
        ("", "not the URI of a file"),
    ],
)
def test_what_is_no_place_for_files_says_why(uri: str, says: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_uri(uri)
    assert caught.value.code == "WRONG_USE"
    assert says in caught.value.detail


def test_a_child_of_a_folder() -> None:
    assert parse_uri("s3://lake/a/").child("part-0.csv") == "s3://lake/a/part-0.csv"
