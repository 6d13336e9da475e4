from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from sluicegate.emr.connection import Aws
from sluicegate.emr.packages import py_file
from sluicegate.emr.request import Command, Submit
from sluicegate.emr.uploads import Uploads
from sluicegate.faults import FatalFault
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.steps import Job


@pytest.fixture
def s3(aws: Any) -> Any:
    del aws
    return Aws("aws_default").client("s3", attempts=1)


def upload(s3: Any, path: str, *, root: Path, artifacts: str) -> str:
    [step] = Uploads.to(s3, artifacts, root).steps([Job(path=path)], (), {})
    assert isinstance(step, Submit)
    return step.uri


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


def options(root: Path, **job: Any) -> list[str]:
    """The words before the file, by URIs that nothing is uploaded to."""
    [step] = Uploads.imagined("s3://code/", root).steps([Job(path="s3://code/a.py", **job)], (), {})
    assert isinstance(step, Submit)
    return list(step.options)


def test_a_folder_is_one_zip_whose_bytes_depend_on_its_content_alone(aws: Any, s3: Any, root: Path) -> None:
    def zipped() -> str:
        uploads = Uploads.to(s3, "s3://code/", root)
        [step] = uploads.steps([Job(path="s3://code/a.py", py_files=("lib/", "tools"))], (), {})
        assert isinstance(step, Submit)
        return step.options[1]

    for name in ("lib/helpers.py", "lib/sub/__init__.py", "tools/__init__.py", "tools/a.py", "tools/data.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    before = zipped()
    (root / "lib/__pycache__").mkdir()
    (root / "lib/__pycache__/helpers.cpython-311.pyc").write_bytes(b"x")
    (root / "lib/.hidden").write_text("x")
    os.utime(root / "lib/helpers.py", (0, 0))
    (root / "lib/helpers.py").chmod(0o755)
    assert zipped() == before
    lib, tools = before.split(",")
    assert (lib.rpartition("/")[2], tools.rpartition("/")[2]) == ("lib.zip", "tools.zip")
    # A package is imported by its name, what is in any other folder by its own.
    assert ZipFile(io.BytesIO(aws.s3.get(lib))).namelist() == ["helpers.py", "sub/__init__.py"]
    assert ZipFile(io.BytesIO(aws.s3.get(tools))).namelist() == ["tools/__init__.py", "tools/a.py", "tools/data.csv"]
    (root / "lib/helpers.py").write_text("# other\n")
    assert zipped().split(",")[1] == tools
    assert zipped().split(",")[0] != lib


def test_a_wheel_is_uploaded_as_a_zip_because_executors_import_from_nothing_else(root: Path) -> None:
    (root / "x-1-py3-none-any.whl").write_bytes(b"wheel")
    [flag, uri] = options(root, py_files=("x-1-py3-none-any.whl",))
    assert flag == "--py-files"
    assert uri == f"s3://code/{hashlib.sha256(b'wheel').hexdigest()}/x-1-py3-none-any.zip"


def test_a_folder_outside_or_without_a_file_is_missing(root: Path) -> None:
    (root / "empty").mkdir()
    for path in ("empty", ".."):
        with pytest.raises(FatalFault, match="CODE_MISSING"):
            options(root, py_files=(path,))


def test_a_link_in_a_folder_is_what_it_leads_to_but_never_out_of_the_dags_root(root: Path, tmp_path: Path) -> None:
    (root / "lib").mkdir()
    (root / "shared").mkdir()
    (root / "shared" / "geo.py").write_text("EARTH = 6371")
    (root / "lib" / "shared").symlink_to(root / "shared")
    (root / "lib" / "one.py").symlink_to(root / "shared" / "geo.py")
    (root / "lib" / "shared" / "round").symlink_to(root / "lib")
    _, content = py_file("lib/", root)
    names = ZipFile(io.BytesIO(content)).namelist()
    assert names == ["one.py", "shared/geo.py"]
    secret = tmp_path / "secret.py"
    secret.write_text("PASSWORD = 'x'")
    (root / "lib" / "shared" / "two.py").symlink_to(secret)
    with pytest.raises(FatalFault, match=r"lib/shared/two\.py is a link that leads out of the dags root"):
        py_file("lib", root)


def test_options_are_spark_submits_own_words(root: Path) -> None:
    assert options(
        root,
        jars=("s3://code/a.jar", "s3://code/b.jar"),
        packages=("g:a:1",),
        conf={"spark.sql.shuffle.partitions": 200, "spark.sql.ansi.enabled": True},
        options={"class": "com.example.A", "verbose": True},
    ) == [
        "--jars", "s3://code/a.jar,s3://code/b.jar", "--packages", "g:a:1",
        "--conf", "spark.sql.shuffle.partitions=200", "--conf", "spark.sql.ansi.enabled=true",
        "--class", "com.example.A", "--verbose",
    ]  # fmt: skip


def test_a_command_and_a_bootstrap_action(root: Path) -> None:
    uploads = Uploads.imagined("s3://code/", root)
    assert uploads.steps([Job(command=("s3-dist-cp", "--src", "s3://a/"))], (), {}) == [
        Command(("s3-dist-cp", "--src", "s3://a/"))
    ]
    cluster = Cluster.model_validate(
        {"release": "emr-7.13.0", "bootstrap_actions": ["jobs/report.py", "s3://code/x.sh"]}
    )
    digest = hashlib.sha256((root / "jobs/report.py").read_bytes()).hexdigest()
    assert uploads.bootstrap_actions(cluster) == {
        "jobs/report.py": f"s3://code/{digest}/report.py",
        "s3://code/x.sh": "s3://code/x.sh",
    }
