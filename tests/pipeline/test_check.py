from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from sluicegate.cli.check import check
from tests.pipeline.conftest import Dags

GOOD = "sluicegate: 1\nsteps: {a: {load: s3://b/x.csv, into: table://w/NAME}}\n"
BAD = "sluicegate: 1\nshedule: none\nsteps: {a: {load: s3://b/x.csv, into: table://w/t}}\n"

app = typer.Typer()
app.command()(check)


@pytest.fixture
def shop(dags: Dags, monkeypatch: pytest.MonkeyPatch) -> Dags:
    """Only what is read is looked at; what building finds is the factory's."""
    monkeypatch.chdir(dags.root.parent)
    monkeypatch.setattr("sluicegate.cli.check._build_mistakes", lambda pipeline, others: ())
    return dags


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_nothing_wrong_is_silent_and_0(shop: Dags) -> None:
    shop.write("good.yaml", GOOD)
    done = run()
    assert (done.exit_code, done.output) == (0, "")


def test_a_mistake_is_drawn_and_1(shop: Dags) -> None:
    shop.write("good.yaml", GOOD)
    shop.write("bad.yaml", BAD)
    done = run()
    assert done.exit_code == 1
    assert done.output.splitlines()[0].startswith("dags/bad.yaml:2:1: error[unknown-key]: ")
    assert "did you mean `schedule`?" in done.output


def test_only_what_is_asked_for_is_told(shop: Dags) -> None:
    shop.write("sales/good.yaml", GOOD)
    shop.write("bad.yaml", BAD)
    assert run("dags/sales").exit_code == 0
    assert run("dags/sales/good.yaml").exit_code == 0
    assert run("dags/bad.yaml").exit_code == 1
    assert run("dags/sales", "dags/bad.yaml").exit_code == 1


def test_a_file_in_a_subfolder_sees_all_of_the_dags_root(shop: Dags) -> None:
    day = 'schedule: {cron: "@daily", start: 2026-01-01}\n'
    shop.write(
        "weather.yaml",
        f"sluicegate: 1\n{day}datasets: {{raw: s3://b/w}}\nsteps: {{a: {{load: s3://b/x, into: raw}}}}\n",
    )
    shop.write("sales/reader.yaml", f"sluicegate: 1\n{day}steps: {{a: {{load: weather.raw, into: table://w/r}}}}\n")
    assert run("dags/sales/reader.yaml").output == ""
    assert run("dags/sales/reader.yaml", "--root", "dags/sales").exit_code == 1


def test_warnings_are_no_errors_unless_strict(shop: Dags) -> None:
    for name in ("one", "two"):
        shop.write(f"{name}.yaml", GOOD)
    assert run().exit_code == 0
    assert "warning[same-place]" in run().output
    assert run("--strict").exit_code == 1


def test_json_for_programs(shop: Dags) -> None:
    shop.write("bad.yaml", BAD)
    done = run("--format", "json")
    assert done.exit_code == 1
    [mistake] = json.loads(done.output)
    assert mistake.pop("message")
    assert mistake == {
        "file": "dags/bad.yaml", "line": 2, "column": 1, "severity": "error", "code": "unknown-key",
        "where": "shedule", "suggestion": "schedule",
    }  # fmt: skip


def test_json_of_nothing_is_an_empty_list(shop: Dags) -> None:
    shop.write("good.yaml", GOOD)
    assert json.loads(run("--format", "json").output) == []


def test_annotations_for_github(shop: Dags) -> None:
    shop.write("bad, 100%.yaml", BAD)
    lines = run("--format", "github").output.splitlines()
    assert any(
        line.startswith("::error file=dags/bad%2C 100%25.yaml,line=2,col=1,title=unknown-key::") for line in lines
    )


@pytest.mark.parametrize("arguments", [["none.yaml"], ["dags", "--root", "none"], ["dags", "--format", "xml"]])
def test_wrong_use_is_2(shop: Dags, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_that_is_no_pipeline_is_left_alone(shop: Dags) -> None:
    shop.write("values.yaml", "a: 1\n")
    done = run("dags/values.yaml")
    assert done.exit_code == 0
    assert "is no pipeline file" in done.output
