"""A folder into which something is fetched is whole or under way, and belongs to one try."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.faults import FaultError
from sluicegate.sources.landing import Landing
from sluicegate.storage import Storage
from tests.sources.conftest import Folder


def landing(folder: Folder, digest: str = "d") -> Landing:
    return Landing(Storage(), f"{folder.path}/", digest, folder.work)


def part(folder: Folder, of: Landing, text: str) -> Path:
    path = folder.work / of.name(".csv")
    path.write_text(text)
    return path


def test_a_folder_is_under_way_from_the_first_moment_to_the_marker(folder: Folder) -> None:
    uri = f"{folder.path}/"
    first = landing(folder)
    first.begin()
    assert not Storage().exists(uri)
    first.add(part(folder, first, "a"), 1)
    assert not Storage().exists(uri)
    first.finish({})
    assert [found.uri for found in Storage().require_parts(uri)] == [f"{uri}part-00000.csv"]
    landing(folder).begin()
    assert not Storage().exists(uri)


def test_another_try_goes_on_and_the_first_one_stops(folder: Folder) -> None:
    first, second = landing(folder), landing(folder)
    first.begin()
    first.add(part(folder, first, "a"), 1, pages=1, state={"page": 2})
    assert second.begin().state == {"page": 2}
    with pytest.raises(FaultError, match="taken the fetch over"):
        first.add(part(folder, first, "b"), 1)
    second.add(part(folder, second, "c"), 1)
    second.finish({})
    assert (folder.path / "part-00001.csv").read_text() == "c"


def test_what_another_request_has_left_is_not_gone_on_with(folder: Folder) -> None:
    first = landing(folder)
    first.begin()
    first.add(part(folder, first, "a"), 1, state={"page": 2})
    first.add(part(folder, first, "b"), 1, state={"page": 3})
    other = landing(folder, "other")
    assert (other.begin().state, other.progress.parts) == (None, ())
    other.add(part(folder, other, "c"), 1)
    other.finish({"x": 1})
    assert folder.names == ["_SUCCESS", "part-00000.csv"]
