"""The tests of docs/testing.md, run by pytest as a newcomer would run them; what needs what."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, page


def run_pytest(folder: Path, *arguments: str) -> str:
    """Its output: without this machine's settings, for they would hide what the fixtures do not set."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The sample pipelines, and the tests of the page beside them."""
    shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    for block in page("testing.md").blocks("python"):
        assert block.file is not None
        path = tmp_path / "tests" / block.file
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_the_tests_of_the_page_pass(project: Path) -> None:
    assert "4 passed" in (said := run_pytest(project)), said[-5000:]


def test_the_dags_root_is_a_setting(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nsluicegate_dags = pipes\n")
    (project / "tests" / "test_root.py").write_text(
        "from pathlib import Path\ndef test_it(dags_root):\n    assert dags_root == Path('pipes').absolute()\n"
    )
    assert "1 passed" in (said := run_pytest(project, "tests/test_root.py")), said[-5000:]


def test_the_fixtures_start_and_import_nothing_for_tests_that_do_not_use_them(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["sluicegate.testing.fixtures"]\n')
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it():\n    assert not {'airflow', 'psycopg', 'werkzeug', 'boto3'} & set(sys.modules)\n"
    )
    assert "1 passed" in (said := run_pytest(tmp_path)), said[-3000:]


def test_without_pytest_the_fixtures_say_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import sluicegate.testing.fixtures"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert 'pip install "airflow-provider-sluicegate[testing]"' in done.stderr
