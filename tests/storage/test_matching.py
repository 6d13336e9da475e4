from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.graph.glob import Glob
from sluicegate.storage import Storage

NAMES = ("a.csv", "b.csv", "b.txt", "_a.csv", ".a.csv", "eu/a.csv", "eu/north/a.csv", "us/a.csv", "_old/a.csv")
CASES = [
    ("*.csv", {"a.csv", "b.csv"}),
    ("?.csv", {"a.csv", "b.csv"}),
    ("[b-z].*", {"b.csv", "b.txt"}),
    ("[!b].csv", {"a.csv"}),
    ("_*.csv", {"_a.csv"}),
    ("*/a.csv", {"eu/a.csv", "us/a.csv"}),
    ("eu/*.csv", {"eu/a.csv"}),
    ("**/a.csv", {"a.csv", "eu/a.csv", "eu/north/a.csv", "us/a.csv"}),
    ("_old/**/a.csv", {"_old/a.csv"}),
    ("*/", {"eu/a.csv", "us/a.csv"}),
    ("**/north/", {"eu/north/a.csv"}),
    ("eu/**", {"eu/a.csv", "eu/north/a.csv"}),
    ("*.json", set()),
    ("a.c[s]v", {"a.csv"}),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_files_match_by_name_and_folders_only_where_the_pattern_has_them(
    tmp_path: Path, pattern: str, expected: set[str]
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = Storage().matching(f"file://{tmp_path}/{pattern}")
    assert found == tuple(sorted(f"file://{tmp_path}/{name}" for name in expected))


@pytest.fixture(scope="module")
def objects(s3_client: Any) -> Any:
    s3_client.create_bucket(Bucket="names")
    for name in NAMES:
        s3_client.put_object(Bucket="names", Key=f"in/{name}", Body=b"x")
    return s3_client


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_objects_match_as_files_do(objects: Any, pattern: str, expected: set[str]) -> None:
    found = Storage(client=objects).matching(f"s3://names/in/{pattern}")
    assert found == tuple(sorted(f"s3://names/in/{name}" for name in expected))


def test_a_whole_bucket_can_be_looked_through(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="a.csv", Body=b"x")
    s3.put_object(Bucket="lake", Key="in/b.csv", Body=b"x")
    assert Storage(client=s3).matching("s3://lake/*.csv") == ("s3://lake/a.csv",)
    assert Storage(client=s3).matching("s3://lake/**/*.csv") == ("s3://lake/a.csv", "s3://lake/in/b.csv")


def test_empty_files_and_folders_that_are_not_there_match_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    assert Storage().matching(f"{tmp_path}/*.csv") == ()
    assert Storage().matching(f"{tmp_path}/no/*.csv") == ()


def test_only_the_folder_before_the_first_wildcard_is_looked_through() -> None:
    assert Glob("s3://b/in/2026-*/x/*.csv").folder == "s3://b/in/"
    assert Glob("s3://b/in/2026-*/x/*.csv").depth == 3
    assert Glob("s3://b/in/**/*.csv").depth is None
