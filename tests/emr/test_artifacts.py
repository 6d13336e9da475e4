from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sluicegate.emr.artifacts import upload
from sluicegate.emr.connection import Aws
from sluicegate.faults import FatalFault


@pytest.fixture
def s3(aws: Any) -> Any:
    del aws
    return Aws("aws_default").client("s3", attempts=1)


def test_a_job_lands_under_the_hash_of_its_content_once(aws: Any, s3: Any, root: Path) -> None:
    content = (root / "jobs/delays.py").read_bytes()
    uri = upload(s3, "jobs/delays.py", root=root, artifacts="s3://code/jobs")
    assert uri == f"s3://code/jobs/{hashlib.sha256(content).hexdigest()}/delays.py"
    assert aws.s3.get(uri) == content
    s3.put_object = None  # it is there: nothing is sent again
    assert upload(s3, "jobs/delays.py", root=root, artifacts="s3://code/jobs/") == uri


def test_an_edited_job_does_not_touch_the_one_that_runs(aws: Any, s3: Any, root: Path) -> None:
    before = upload(s3, "jobs/delays.py", root=root, artifacts="s3://code/")
    (root / "jobs/delays.py").write_text("print('other')\n")
    assert upload(s3, "jobs/delays.py", root=root, artifacts="s3://code/") != before
    assert aws.s3.get(before) == b"print('delays')\n"


def test_a_job_in_s3_is_taken_as_it_is(aws: Any, s3: Any, root: Path) -> None:
    assert upload(s3, "s3://code/x.py", root=root, artifacts="s3://code/") == "s3://code/x.py"
    assert aws.s3.uris() == []


@pytest.mark.parametrize("path", ["jobs/none.py", "jobs", "../secret.py", "jobs/delays.py/x"])
def test_a_job_that_is_not_below_the_root_is_missing(s3: Any, root: Path, path: str) -> None:
    (root.parent / "secret.py").write_text("")
    with pytest.raises(FatalFault, match="CODE_MISSING"):
        upload(s3, path, root=root, artifacts="s3://code/")


@pytest.mark.parametrize("uri", ["/tmp/code", "https://code/", "s3://"])
def test_artifacts_are_an_s3_folder(s3: Any, root: Path, uri: str) -> None:
    with pytest.raises(FatalFault, match="WRONG_USE"):
        upload(s3, "jobs/delays.py", root=root, artifacts=uri)
