"""Which files are parts of a dataset, and its version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.storage import Part, version
from sluicegate.storage.part import is_part

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), min_size=1, max_size=5)


def parts(versions: list[str], prefix: str = "p") -> list[Part]:
    return [Part(f"s3://l/{prefix}-{n}", 1, each, NOW) for n, each in enumerate(versions)]


@pytest.mark.parametrize("relative", ["part-0.csv", "day=2026-01-01/part-0.csv", "a=1/b=2/x.parquet"])
def test_records_are_parts(relative: str) -> None:
    assert is_part(relative, 1)


@pytest.mark.parametrize(
    "relative",
    ["_SUCCESS", ".part-0.crc", "_temporary/0/part-0.csv", "archive/old.csv", ".day=1/x", "", "_day=1/x"],
)
def test_markers_and_work_in_progress_are_none(relative: str) -> None:
    assert not is_part(relative, 1)


def test_an_empty_file_is_none() -> None:
    assert not is_part("part-0.csv", 0)


def test_one_part_gives_its_own_version() -> None:
    assert version(parts(["abc"])) == "abc"


@given(VERSIONS, st.randoms())
def test_the_version_of_a_folder_does_not_depend_on_names_or_order(versions: list[str], random: object) -> None:
    shuffled = list(versions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert version(parts(versions)) == version(parts(shuffled, "other"))


@given(VERSIONS, VERSIONS)
def test_other_contents_have_another_version(first: list[str], second: list[str]) -> None:
    if sorted(first) != sorted(second):
        assert version(parts(first)) != version(parts(second))


def test_a_part_more_is_another_version_also_when_its_content_is_there_already() -> None:
    assert version(parts(["a", "a"])) != version(parts(["a"]))
