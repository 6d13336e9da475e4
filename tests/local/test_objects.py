from __future__ import annotations

import pytest

from sluicegate.local.stack.errors import WrongUse
from sluicegate.local.stack.objects import destination


@pytest.mark.parametrize(
    ("uri", "where"),
    [
        ("s3://landing/orders/a.csv", ("landing", "orders/a.csv")),
        ("s3://landing/orders/", ("landing", "orders/mine.csv")),
        ("s3://landing/", ("landing", "mine.csv")),
        ("s3://my.bucket-1/a b/ü.csv", ("my.bucket-1", "a b/ü.csv")),
    ],
)
def test_a_file_goes_where_the_uri_says(uri: str, where: tuple[str, str]) -> None:
    assert destination(uri, "mine.csv") == where


@pytest.mark.parametrize("uri", ["landing/a", "s3://", "s3://x/a", "s3://Bucket/a", "s3:///a", "http://landing/a"])
def test_what_is_no_s3_uri_is_wrong_use(uri: str) -> None:
    with pytest.raises(WrongUse, match="not an S3 URI"):
        destination(uri, "mine.csv")
