from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from sluicegate.cli.check import check
from sluicegate.cli.findings import STACK_CONNECTIONS
from sluicegate.cli.reading import allowlist
from sluicegate.cli.watch import in_a_process, state_of
from sluicegate.local.stack import airflow
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

FINE = "1 pipeline file: no errors\n"

app = typer.Typer()
app.command()(check)


@pytest.fixture
def shop(dags: Dags, monkeypatch: pytest.MonkeyPatch) -> Dags:
    """Only what is read is looked at; what building finds is the factory's."""
    monkeypatch.chdir(dags.root.parent)
    monkeypatch.setattr("sluicegate.cli.findings._build_diagnostics", lambda pipeline, others: ())
    playbooks = dags.root.parent / "playbooks"
    playbooks.mkdir()
    for name in ("good", "bad", "bad, 100%", "weather", "reader", "one", "two"):
        (playbooks / f"{name}.md").touch()
    return dags


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_nothing_wrong_is_a_line_and_0(shop: Dags) -> None:
    shop.write("good.yaml", GOOD)
    done = run()
    assert (done.exit_code, done.output) == (0, FINE)


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
    day = 'schedule: {cron: "@daily", start: 2026-01-01}\nfresh_within: 2d\nowner: me\nalerts: null\n'
    load = "load: LOAD, into: INTO, checks: []"
    steps = f"sluicegate: 1\n{day}steps: {{a: {{{load}}}}}\n"
    weather = steps.replace("LOAD", "s3://b/x").replace("INTO", "raw")
    shop.write("weather.yaml", f"{weather}datasets: {{raw: s3://b/w}}\n")
    shop.write("sales/reader.yaml", steps.replace("LOAD", "weather.raw").replace("INTO", "table://w/r"))
    assert run("dags/sales/reader.yaml").output == FINE
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
    [diagnostic] = json.loads(done.stdout)
    assert diagnostic.pop("message")
    assert diagnostic == {
        "file": "dags/bad.yaml", "line": 2, "column": 1, "severity": "error", "code": "unknown-key",
        "where": "shedule", "suggestion": "schedule",
    }  # fmt: skip


def test_json_of_nothing_is_an_empty_list(shop: Dags) -> None:
    shop.write("good.yaml", GOOD)
    assert json.loads(run("--format", "json").stdout) == []


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
    assert "is not a pipeline file" in done.output


def test_what_a_good_pipeline_lacks_is_a_warning_apart_from_errors(shop: Dags) -> None:
    shop.write("bare.yaml", BARE)
    done = run("--format", "json")
    assert done.exit_code == 0
    found = [
        (each["line"], each["column"], each["severity"], each["code"], each["where"])
        for each in json.loads(done.stdout)
    ]
    assert found == [
        (1, 1, "warning", "no-owner", "owner"),
        (1, 1, "warning", "no-playbook", ""),
        (2, 1, "warning", "no-alerts", "schedule"),
        (2, 1, "warning", "no-fresh-within", "schedule"),
        (4, 3, "warning", "no-checks", "steps.a"),
    ]  # fmt: skip
    assert run("--strict").exit_code == 1
    assert "dags/bare.yaml:1:1: warning[no-owner]: " in run().output
    assert "::warning file=dags/bare.yaml,line=4,col=3,title=no-checks::" in run("--format", "github").output


def test_what_is_there_is_not_asked_for(shop: Dags) -> None:
    shop.write("defaults.yaml", "owner: me\nfresh_within: 30h\nalerts: null\n")
    shop.write("bare.yaml", BARE.replace("bare}", "bare, checks: []}"))
    (shop.root.parent / "playbooks" / "bare.md").touch()
    assert run("--strict").output == FINE
    assert run("--strict", "--playbooks", "elsewhere").exit_code == 1
    (shop.root.parent / "elsewhere").mkdir()
    (shop.root.parent / "elsewhere" / "bare.md").touch()
    assert run("--strict", "--playbooks", "elsewhere").exit_code == 0


@pytest.mark.parametrize(
    ("cron", "fresh_within", "said"),
    [
        ("@daily", "25h", None),
        ("@daily", "24h", "1d"),
        ("@monthly", "31d", "31d"),
        ("@monthly", "32d", None),
        ("*/5 9-17 * * 1-5", "30h", "2d15h5m"),
    ],
)
def test_a_promise_that_no_run_can_keep_is_a_warning(
    shop: Dags, cron: str, fresh_within: str, said: str | None
) -> None:
    shop.write("defaults.yaml", "owner: me\nalerts: null\n")
    (shop.root.parent / "playbooks" / "bare.md").touch()
    text = BARE.replace("bare}", "bare, checks: []}").replace("@daily", cron)
    assert cron in text
    shop.write("bare.yaml", f"{text}fresh_within: {fresh_within}\n")
    output = run().output
    assert ("short-fresh-within" in output) is (said is not None)
    assert said is None or f"takes up to {said}," in output


def test_a_pipeline_without_a_cron_need_not_be_fresh(shop: Dags) -> None:
    for schedule in ("once", "none"):
        shop.write("good.yaml", GOOD + f"schedule: {schedule}\n")
        assert run("--strict").output == FINE


def test_a_file_with_mistakes_is_told_what_it_lacks_too(shop: Dags) -> None:
    shop.write("bad.yaml", BAD.replace("owner: me\n", ""))
    assert [each["code"] for each in json.loads(run("--format", "json").stdout)] == ["unknown-key", "no-owner"]


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
    assert run().output == FINE


def test_advice_is_no_import_error(shop: Dags) -> None:
    file = shop.write("bare.yaml", BARE)
    assert shop.tree().diagnostics_of(file) == ()
    assert shop.together("bare.yaml").diagnostics == ()


def test_the_samples_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.cli.findings._build_diagnostics", lambda pipeline, others: ())
    monkeypatch.chdir(Path(__file__).parents[2])
    assert run("--strict").output == FINE.replace("1 pipeline file", "5 pipeline files")


def test_what_building_finds_in_some_combinations_says_in_which(shop: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shop.write(
        "m.yaml",
        "sluicegate: 1\nmatrix: {n: [1, 2]}\nsteps: {a: {load: s3://b/x.csv, into: 'table://w/{{ matrix.n }}'}}\n",
    )

    def build(pipeline: Pipeline, others: object) -> tuple[Diagnostic, ...]:
        both = Diagnostic("x", "in both", file)
        return (both, Diagnostic("x", "in one", file)) if pipeline.matrix["n"] == 2 else (both,)

    monkeypatch.setattr("sluicegate.cli.findings._build_diagnostics", build)
    told = [each["message"] for each in json.loads(run("--format", "json").stdout) if each["code"] == "x"]
    assert sorted(told) == ["in both", "in one (with n=2)"]


def test_variables_that_airflows_configuration_allows_may_be_read(shop: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.delenv("AIRFLOW__SLUICEGATE__ENV_ALLOWLIST", raising=False)
    shop.write("good.yaml", GOOD.replace("owner: me", "owner: ${env:STAGE}"))
    monkeypatch.setattr("sluicegate.cli.reading.allowlist", lambda: "")
    assert "error[env]" in run().output
    monkeypatch.setattr("sluicegate.cli.reading.allowlist", lambda: "A,STAGE")
    assert run().output == FINE


def test_the_allowlist_is_that_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__ENV_ALLOWLIST", "A, B")
    assert allowlist() == "A, B"


def test_without_pipeline_files_it_ends_with_2(shop: Dags) -> None:
    for arguments in ((), ("dags",), ("--format", "json")):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "there are no pipeline files in dags" in done.stderr
    (shop.root / "near.yaml").write_text("sluicegat: 1\n")
    done = run()
    assert (done.exit_code, "warning[not-a-pipeline]" in done.stdout) == (2, True)


def test_every_run_ends_with_a_line_of_counts(shop: Dags) -> None:
    shop.write("bad.yaml", BAD)
    shop.write("bare.yaml", BARE)
    counts = "2 pipeline files: 1 error, 5 warnings"
    assert run().stdout.splitlines()[-1] == counts
    for form in ("json", "github"):
        assert run("--format", form).stderr.splitlines()[-1] == counts


def test_errors_come_before_warnings_and_apart_from_them(shop: Dags) -> None:
    shop.write("a.yaml", GOOD.replace("owner: me\n", ""))
    shop.write("b.yaml", BAD)
    lines = run().stdout.splitlines()
    (error,) = (number for number, line in enumerate(lines) if "error[" in line)
    warnings = [number for number, line in enumerate(lines) if "warning[" in line]
    assert error < lines.index("Warnings:") < warnings[0]
    severities = [each["severity"] for each in json.loads(run("--format", "json").stdout)]
    assert severities == sorted(severities)


def test_a_connection_that_is_nearly_a_known_one_is_a_warning_that_offers_it(
    shop: Dags, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SALES_DB", "postgres://me:secret@host/db")
    table = GOOD.replace("table://w/t", "table://{}/t")
    for name, meant in (("warehose", "warehouse"), ("sales_bd", "sales_db"), ("postgres_defalt", "postgres_default")):
        shop.write("good.yaml", table.replace("{}", name))
        done = run("--format", "json")
        told = [(each["severity"], each["suggestion"]) for each in json.loads(done.stdout)]
        assert (done.exit_code, told) == (0, [("warning", meant)])
        assert "secret@" not in done.output
    for name in ("warehouse", "warehouse_eu", "warehouse2", "w", "sales_db"):
        shop.write("good.yaml", table.replace("{}", name))
        assert run().output == FINE


def test_the_local_stacks_connections_are_known() -> None:
    text = Path(airflow.__file__).read_text("utf-8")
    assert set(re.findall('"AIRFLOW_CONN_([A-Z_]+)"', text)) == {name.upper() for name in STACK_CONNECTIONS}


def test_the_folder_of_playbooks_is_that_of_airflow(shop: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("good.yaml", GOOD)
    assert run().output == FINE
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__PLAYBOOKS_FOLDER", str(shop.root / "pages"))
    assert "`pages/good.md`" in run().output


def test_a_change_of_any_file_is_seen_and_each_check_sees_the_code_as_it_is_then(shop: Dags) -> None:
    (shop.root / "watched.py").write_text("NUMBER = 3\n")
    before = state_of([shop.root])
    assert before == state_of([shop.root])

    def number() -> int:
        sys.path.append(str(shop.root))
        return int(importlib.import_module("watched").NUMBER)

    assert in_a_process(number) == 3
    (shop.root / "watched.py").write_text("NUMBER = 44\n")
    assert state_of([shop.root]) != before
    assert in_a_process(number) == 44
    assert "watched" not in sys.modules


def test_it_checks_again_after_each_change_until_it_is_interrupted(
    shop: Dags, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shop.write("good.yaml", GOOD)

    def pause(_: float) -> None:
        if (shop.root / "bad.yaml").exists():
            raise KeyboardInterrupt
        shop.write("bad.yaml", BAD)

    monkeypatch.setattr("sluicegate.cli.watch.time.sleep", pause)
    with pytest.raises(typer.Exit) as ended:
        check(watch=True)
    assert ended.value.exit_code == 130
    told = capfd.readouterr().out
    assert FINE in told
    assert told.splitlines()[-1] == "2 pipeline files: 1 error, 2 warnings"


SPARK = "{spark: s3://code/a.py, cluster: %s}"


def test_a_cluster_that_no_step_names_is_a_warning_where_all_pipelines_are_looked_at(shop: Dags) -> None:
    clusters = (
        "{small: {release: emr-7.13.0, instances: {primary: m}}, large: {release: emr-7.13.0, instances: {primary: m}}}"
    )
    shop.write("defaults.yaml", f"owner: me\nclusters: {clusters}\n")
    shop.write("one.yaml", f"sluicegate: 1\nsteps: {{a: {SPARK % 'small'}}}\n")
    shop.write("two.yaml", f"sluicegate: 1\nsteps: {{a: {SPARK % 'small'}}}\n")
    done = run()
    assert done.output.count("warning[") == 1
    assert re.search(r"defaults\.yaml:2:\d+: warning\[unused-cluster\]: no step names the cluster `large`", done.output)
    assert "unused-cluster" not in run("dags/one.yaml").output
    shop.write("two.yaml", f"sluicegate: 1\nsteps: {{a: {SPARK % 'large'}}}\n")
    assert "unused-cluster" not in run().output


def test_what_run_job_flow_says_is_held_against_botocores_model_of_emr(dags: Dags, monkeypatch: Any) -> None:
    monkeypatch.chdir(dags.root.parent)
    dags.write(
        "defaults.yaml",
        "owner: me\nclusters:\n  small:\n    release: emr-7.13.0\n    instances: {primary: m}\n"
        "    run_job_flow: {Instances: {Ec2KeyNames: x}, ScaleDownBehavior: NEVER, EbsRootVolumeIops: 3000}\n",
    )
    dags.write("one.yaml", f"sluicegate: 1\nsteps: {{a: {SPARK % 'small'}, b: {SPARK % 'small'}}}\n")
    done = run("--format", "json")
    found = [
        (each["line"], each["column"], each["message"]) for each in json.loads(done.stdout) if each["code"] == "cluster"
    ]
    assert [each[:2] for each in found] == [(6, 32), (6, 68)]
    assert "EMR has no Ec2KeyNames here: did you mean Ec2KeyName?" in found[0][2]
    assert "expected one of TERMINATE_AT_INSTANCE_HOUR, TERMINATE_AT_TASK_COMPLETION, not 'NEVER'" in found[1][2]
