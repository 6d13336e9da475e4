"""Which version is there, by no more than a listing: what a receipt asks of what a step reads by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.storage import Storage
from tests.storage.test_gcs import Google, google
from tests.webserver import Answer, web_server

__all__ = ["google"]

NAMES = ("in/a.csv", "in/b.csv", "in/_SUCCESS", "in/day=1/c.csv", "in/old/d.csv")


@pytest.mark.parametrize("uri", ["lake/in/", "lake/in/*.csv", "lake/in/a.csv", "lake/in/z.csv"])
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_what_a_listing_shows_is_what_a_load_lists(scheme: str, uri: str, s3: Any, google: Google) -> None:
    for name in NAMES:
        s3.put_object(Bucket="lake", Key=name, Body=name.encode())
        google.put("lake", name, name.encode())
    storage = Storage(client=s3)
    found = storage.glimpse(f"{scheme}://{uri}", 100)
    assert found == storage.list_parts(f"{scheme}://{uri}")


def test_of_more_files_than_may_be_listed_nothing_is_known(s3: Any) -> None:
    for number in range(4):
        s3.put_object(Bucket="lake", Key=f"in/{number}.csv", Body=b"x")
    assert Storage(client=s3).glimpse("s3://lake/in/", 3) is None
    assert len(Storage(client=s3).glimpse("s3://lake/in/", 4) or ()) == 4


def test_a_file_of_this_machine_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id")
    (tmp_path / "a.csv").chmod(0)
    [part] = Storage().glimpse(f"{tmp_path}/", 9) or ()
    assert (part.uri, part.size, part.version.partition("@")[0]) == (f"{tmp_path}/a.csv", 2, "2")
    assert Storage().glimpse(f"{tmp_path}/a.csv", 9) == (part,)
    assert Storage().glimpse(f"{tmp_path}", 9) == ()


def test_a_web_server_is_asked_for_its_etag_and_nothing_is_downloaded() -> None:
    with web_server() as site:
        site.answers = [Answer(b"id", headers={"ETag": '"v1"'}), Answer(b"id")]
        [part] = Storage().glimpse(f"{site.url}/a.csv", 9) or ()
        assert part.version == "v1"
        with pytest.raises(FaultError, match="does not say which version"):
            Storage().glimpse(f"{site.url}/a.csv", 9)
        assert [asked.method for asked in site.asked] == ["HEAD", "HEAD"]
