"""A folder that Spark has not written to its end is not read, whoever looks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.storage import Storage

PART = "part-00000-1b2c3d4e-0a1b-2c3d-4e5f-0123456789ab-c000.snappy.parquet"
OURS = "part-00000.parquet"
UNDER_WAY = "_temporary/0/task_0/part-00001"
STAGING = ".spark-staging-7/day=1/x"
CASES = [
    ([PART], "out/", "no _SUCCESS"),
    ([PART, "_SUCCESS"], "out/", None),
    ([OURS], "out/", None),
    ([OURS, UNDER_WAY], "out/", "_temporary"),
    ([UNDER_WAY], "out/", "_temporary"),
    (["_SUCCESS", PART, UNDER_WAY], "out/", "_temporary"),
    ([UNDER_WAY, PART, "_SUCCESS"], "out/", None),
    (["_SUCCESS", f"day=1/{PART}", STAGING], "out/", ".spark-staging-7/"),
    ([f"day=1/{PART}"], "out/", "no _SUCCESS"),
    ([f"day=1/{PART}", "_SUCCESS"], "out/", None),
    ([f"day=1/{PART}", "_SUCCESS"], "out/day=1/", None),
    ([f"day=1/{PART}"], "out/day=1/", "no _SUCCESS"),
    ([f"day=1/{PART}"], "out/*/*.parquet", "no _SUCCESS"),
    ([f"day=1/{PART}", "_SUCCESS"], "out/*/*.parquet", None),
    ([OURS], "out/*.parquet", None),
    ([PART, "_delta_log/0.json"], "out/", "a Delta table"),
    ([OURS, "_delta_log/0.json"], "out/", "a Delta table"),
    ([PART, "_SUCCESS", "_delta_log/0.json"], "out/", "a Delta table"),
    (["0-1_0-0-0_20260101.parquet", ".hoodie/hoodie.properties"], "out/", "a Hudi table"),
    ([PART], f"out/{PART}", None),
]
"""What is written to `out/` in this order, what is read, and what is said of it."""


def judge(storage: Storage, uri: str, root: str, said: str | None) -> None:
    assert storage.exists(uri) is (said is None)
    if said is None:
        assert storage.require_parts(uri)
        return
    with pytest.raises(FaultError) as caught:
        storage.require_parts(uri)
    assert caught.value.code == "SOURCE_UNFINISHED"
    assert caught.value.detail.startswith(uri)
    assert said in caught.value.detail


@pytest.mark.parametrize(("names", "read", "said"), CASES)
def test_a_folder_of_files_is_read_when_it_is_finished(
    tmp_path: Path, names: list[str], read: str, said: str | None
) -> None:
    now = time.time()
    for number, name in enumerate(names):
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        for each in (path, *path.parents):
            if each != tmp_path and each.is_relative_to(tmp_path):
                os.utime(each, (now + number, now + number))
    judge(Storage(), f"{tmp_path}/{read}", str(tmp_path), said)
    lenient = Storage(success_marker=False)
    assert lenient.exists(f"{tmp_path}/{read}") is (names != [UNDER_WAY])


@pytest.mark.parametrize(("names", "read", "said"), CASES)
def test_a_folder_of_objects_is_read_when_it_is_finished(
    s3: Any, monkeypatch: pytest.MonkeyPatch, names: list[str], read: str, said: str | None
) -> None:
    for name in names:
        if name != names[0] and "_SUCCESS" in names and UNDER_WAY in names + [UNDER_WAY] * (STAGING in names):
            time.sleep(1)  # S3 counts seconds
        s3.put_object(Bucket="lake", Key=f"out/{name}", Body=b"x")
    judge(Storage(client=s3), f"s3://lake/{read}", "s3://lake", said)


def test_the_folder_of_a_file_that_is_read_alone_is_not_asked_about(tmp_path: Path) -> None:
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "a.csv").write_text("x")
    assert Storage().require_parts(f"{tmp_path}/a.csv")
