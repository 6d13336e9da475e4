from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sluicegate.cli.check import check
from sluicegate.cli.reading import allowlist
from sluicegate.pipeline import Diagnostic, Pipeline
from tests.pipeline.conftest import Dags

STEPS = "steps: {a: {load: s3://b/x.csv, into: table://w/t, columns: {x: text}}}\n"
GOOD = f"sluicegate: 1\nowner: me\n{STEPS}"
BAD = f"sluicegate: 1\nshedule: none\nowner: me\n{STEPS}"
BARE = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
steps:
  a: {load: s3://b/x.csv, into: table://w/bare}
"""

app = typer.Typer()
app.command()(check)


@pytest.fixture
def shop(dags: Dags, monkeypatch: pytest.MonkeyPatch) -> Dags:
    """Only what is read is looked at; what building finds is the factory's."""
    monkeypatch.chdir(dags.root.parent)
    monkeypatch.setattr("sluicegate.cli.check._build_diagnostics", lambda pipeline, others: ())
    playbooks = dags.root.parent / "playbooks"
    playbooks.mkdir()
    for name in ("good", "bad", "bad, 100%", "weather", "reader", "one", "two"):
        (playbooks / f"{name}.md").touch()
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
    day = 'schedule: {cron: "@daily", start: 2026-01-01}\nfresh_within: 1d\nowner: me\n'
    load = "load: LOAD, into: INTO, checks: []"
    steps = f"sluicegate: 1\n{day}steps: {{a: {{{load}}}}}\n"
    weather = steps.replace("LOAD", "s3://b/x").replace("INTO", "raw")
    shop.write("weather.yaml", f"{weather}datasets: {{raw: s3://b/w}}\n")
    shop.write("sales/reader.yaml", steps.replace("LOAD", "weather.raw").replace("INTO", "table://w/r"))
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
    [diagnostic] = json.loads(done.output)
    assert diagnostic.pop("message")
    assert diagnostic == {
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


def test_what_a_good_pipeline_lacks_is_a_warning_apart_from_errors(shop: Dags) -> None:
    shop.write("bare.yaml", BARE)
    done = run("--format", "json")
    assert done.exit_code == 0
    found = [
        (each["line"], each["column"], each["severity"], each["code"], each["where"])
        for each in json.loads(done.output)
    ]
    assert found == [
        (1, 1, "warning", "no-owner", "owner"),
        (1, 1, "warning", "no-playbook", ""),
        (2, 1, "warning", "no-fresh-within", "schedule"),
        (4, 3, "warning", "no-checks", "steps.a"),
    ]  # fmt: skip
    assert run("--strict").exit_code == 1
    assert "dags/bare.yaml:1:1: warning[no-owner]: " in run().output
    assert "::warning file=dags/bare.yaml,line=4,col=3,title=no-checks::" in run("--format", "github").output


def test_what_is_there_is_not_asked_for(shop: Dags) -> None:
    shop.write("defaults.yaml", "owner: me\nfresh_within: 30h\n")
    shop.write("bare.yaml", BARE.replace("bare}", "bare, checks: []}"))
    (shop.root.parent / "playbooks" / "bare.md").touch()
    assert run("--strict").output == ""
    assert run("--strict", "--playbooks", "elsewhere").exit_code == 1
    (shop.root.parent / "elsewhere").mkdir()
    (shop.root.parent / "elsewhere" / "bare.md").touch()
    assert run("--strict", "--playbooks", "elsewhere").exit_code == 0


def test_a_pipeline_without_a_cron_need_not_be_fresh(shop: Dags) -> None:
    for schedule in ("once", "none"):
        shop.write("good.yaml", GOOD + f"schedule: {schedule}\n")
        assert run("--strict").output == ""


def test_a_file_with_mistakes_is_told_what_it_lacks_too(shop: Dags) -> None:
    shop.write("bad.yaml", BAD.replace("owner: me\n", ""))
    assert [each["code"] for each in json.loads(run("--format", "json").output)] == ["no-owner", "unknown-key"]


def test_a_matrix_may_have_one_playbook_or_one_for_each_pipeline(shop: Dags) -> None:
    shop.write(
        "m.yaml",
        GOOD.replace("/t,", "/{{ matrix.n }},")
        .replace("owner", "matrix: {n: [1, 2]}\nowner")
        .replace("into: ", "into: '")
        .replace("}},", "}}',"),
    )
    playbooks = shop.root.parent / "playbooks"
    assert "`playbooks/m.md`" in run().output
    (playbooks / "m_1.md").touch()
    assert "`playbooks/m_2.md`" in run().output
    (playbooks / "m_2.md").touch()
    assert run().output == ""


def test_advice_is_no_import_error(shop: Dags) -> None:
    file = shop.write("bare.yaml", BARE)
    assert shop.tree().diagnostics_of(file) == ()
    assert shop.together("bare.yaml").diagnostics == ()


def test_the_samples_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.cli.check._build_diagnostics", lambda pipeline, others: ())
    monkeypatch.chdir(Path(__file__).parents[2])
    assert run("--strict").output == ""


def test_what_building_finds_in_some_combinations_says_in_which(shop: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shop.write(
        "m.yaml",
        "sluicegate: 1\nmatrix: {n: [1, 2]}\nsteps: {a: {load: s3://b/x.csv, into: 'table://w/{{ matrix.n }}'}}\n",
    )

    def build(pipeline: Pipeline, others: object) -> tuple[Diagnostic, ...]:
        both = Diagnostic("x", "in both", file)
        return (both, Diagnostic("x", "in one", file)) if pipeline.matrix["n"] == 2 else (both,)

    monkeypatch.setattr("sluicegate.cli.check._build_diagnostics", build)
    told = [each["message"] for each in json.loads(run("--format", "json").output) if each["code"] == "x"]
    assert sorted(told) == ["in both", "in one (with n=2)"]


def test_variables_that_airflows_configuration_allows_may_be_read(shop: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.delenv("AIRFLOW__SLUICEGATE__ENV_ALLOWLIST", raising=False)
    shop.write("good.yaml", GOOD.replace("owner: me", "owner: ${env:STAGE}"))
    monkeypatch.setattr("sluicegate.cli.reading.allowlist", lambda: "")
    assert "error[env]" in run().output
    monkeypatch.setattr("sluicegate.cli.reading.allowlist", lambda: "A,STAGE")
    assert run().output == ""


def test_the_allowlist_is_that_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__ENV_ALLOWLIST", "A, B")
    assert allowlist() == "A, B"
