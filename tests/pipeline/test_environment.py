from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from sluicegate.pipeline import Diagnostic, PipelineErrors
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.read.draft import Draft
from sluicegate.pipeline.text.environment import ALLOWLIST, Environment
from tests.pipeline.conftest import Dags, read_pipeline

StandsAt = Callable[[Diagnostic, str], bool]

STEPS = "steps:\n  a: {load: s3://in/x.csv, into: table://wh/x}\n"


def read(dags: Dags, text: str, variables: Mapping[str, str], allowed: str = "") -> Pipeline:
    file = dags.write("orders.yaml", f"sluicegate: 1\n{text}\n{STEPS}")
    names = frozenset(allowed.split(",")) - {""}
    return read_pipeline(file, dags.root, Environment(variables, names))


def draft(dags: Dags, text: str, variables: Mapping[str, str]) -> Draft:
    return read_draft(dags.write("orders.yaml", f"sluicegate: 1\n{text}\n{STEPS}"), dags.root, Environment(variables))


def test_names_of_ours_and_those_allowed_are_filled_in_anywhere_in_a_value(dags: Dags) -> None:
    text = "datasets:\n  raw: s3://${env:BUCKET}/${env:SLUICEGATE_STAGE:test}/{{ ds }}.csv\ntags: ['${env:BUCKET}', x]"
    pipeline = read(dags, text, {"BUCKET": "b", "SLUICEGATE_STAGE": "prod"}, "BUCKET,OTHER")
    assert pipeline.datasets["raw"].uri == "s3://b/prod/{{ ds }}.csv"
    assert pipeline.tags == ("b", "x")


def test_a_default_is_for_a_name_that_is_not_set_and_may_be_empty(dags: Dags) -> None:
    text = "description: 'a${env:SLUICEGATE_A:}b${env:SLUICEGATE_B:c:d}e${env:SLUICEGATE_C:f}g'"
    assert read(dags, text, {"SLUICEGATE_C": ""}).description == "abc:deg"


def test_an_unquoted_value_is_read_as_if_it_stood_there_a_quoted_one_is_text(dags: Dags) -> None:
    text = (
        "max_active_runs: ${env:SLUICEGATE_RUNS:4}\npaused: ${env:SLUICEGATE_PAUSED}\nowner: '${env:SLUICEGATE_RUNS:4}'"
    )
    pipeline = read(dags, text, {"SLUICEGATE_PAUSED": "true"})
    assert (pipeline.max_active_runs, pipeline.paused, pipeline.owner) == (4, True, "4")


def test_dollars_without_env_are_never_touched(dags: Dags) -> None:
    text = "description: $SLUICEGATE_A ${SLUICEGATE_A} $${SLUICEGATE_A:x}"
    assert read(dags, text, {"SLUICEGATE_A": "x"}).description == text.removeprefix("description: ")


def test_what_is_filled_in_is_not_expanded_again(dags: Dags) -> None:
    variables = {"SLUICEGATE_A": "${env:SLUICEGATE_B}", "SLUICEGATE_B": "b"}
    assert read(dags, "owner: ${env:SLUICEGATE_A}", variables).owner == "${env:SLUICEGATE_B}"


def test_a_cron_and_a_matrix_can_come_from_the_environment(dags: Dags) -> None:
    text = 'schedule: ${env:SLUICEGATE_CRON}\nmatrix: {region: ["${env:SLUICEGATE_REGION}"]}'
    found = draft(dags, text, {"SLUICEGATE_CRON": "none", "SLUICEGATE_REGION": "eu"})
    assert [str(diagnostic) for diagnostic in found.diagnostics] == []
    assert [pipeline.name for pipeline in found.pipelines] == ["orders_eu"]


def test_defaults_are_filled_in_too_and_the_mistake_stands_there(dags: Dags, stands_at: StandsAt) -> None:
    dags.write("defaults.yaml", "owner: ${env:SLUICEGATE_TEAM}\n")
    assert read(dags, "", {"SLUICEGATE_TEAM": "sales"}).owner == "sales"
    [diagnostic] = draft(dags, "", {}).diagnostics
    assert diagnostic.file.name == "defaults.yaml"
    assert stands_at(diagnostic, "${env:SLUICEGATE_TEAM}")


def test_the_digest_changes_with_what_is_filled_in_and_the_draft_knows_the_names(dags: Dags) -> None:
    text = "owner: ${env:SLUICEGATE_A} ${env:SLUICEGATE_B:x}"
    one, two = (draft(dags, text, {"SLUICEGATE_A": value}) for value in ("1", "2"))
    assert one.env == {"SLUICEGATE_A": "1", "SLUICEGATE_B": None}
    assert one.pipelines[0].digest != two.pipelines[0].digest
    assert draft(dags, text, {"SLUICEGATE_A": "1", "OTHER": "x"}).pipelines[0].digest == one.pipelines[0].digest
    assert Environment({"SLUICEGATE_A": "1", "SLUICEGATE_B": "y"}).values(one.env) != one.env
    assert draft(dags, "owner: x", {"SLUICEGATE_A": "1"}).env == {}


def test_the_variables_are_those_of_the_process_and_the_allowlist_its_setting(
    dags: Dags, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "prod")
    file = dags.write("orders.yaml", f"sluicegate: 1\nowner: ${{env:STAGE}}\n{STEPS}")
    with pytest.raises(PipelineErrors, match="env_allowlist"):
        read_pipeline(file, dags.root)
    monkeypatch.setenv(ALLOWLIST, "A, STAGE")
    assert read_pipeline(file, dags.root).owner == "prod"
    assert dags.tree().pipelines["orders"].owner == "prod"
    assert dags.together("orders.yaml").pipeline.owner == "prod"
    assert not Environment.of_process("A").allows("STAGE")


MISTAKES = [
    ("owner: x ${env:HOME}", "${env:HOME}", "must not be read", None),
    ("owner: ${env:HOME:x}", "${env:HOME:x}", "must not be read", None),
    ("owner: '${env:SLUICEGATE_STAG}'", "${env:SLUICEGATE_STAG}", "not set", "${env:SLUICEGATE_STAGE}"),
    ("owner: a${env:SLUICEGATE_STAGE", "${env:SLUICEGATE_STAGE", "expected", None),
    ("owner: ${env:A-B}", "${env:A-B}", "expected", None),
    ("owner: ${env:}", "${env:}", "expected", None),
    ("owner: '${env:SLUICEGATE_STAGE:{{ ds }}}'", "${env:SLUICEGATE_STAGE:{{", "expected", None),
    ("params:\n  '${env:SLUICEGATE_STAGE}': 1", "'${env:SLUICEGATE_STAGE}'", "is for values, not for keys", None),
    ("description: >\n  one\n  two ${env:NO}", "${env:NO}", "must not be read", None),
    # Of a value that is not known nothing else is said.
    ("max_active_runs: ${env:NO}", "${env:NO}", "must not be read", None),
    ("datasets: {raw: '${env:NO}'}", "${env:NO}", "must not be read", None),
]


@pytest.mark.parametrize(("text", "words", "message", "meant"), MISTAKES)
def test_what_cannot_be_filled_in_is_placed(
    dags: Dags, stands_at: StandsAt, text: str, words: str, message: str, meant: str | None
) -> None:
    diagnostics = draft(dags, text, {"SLUICEGATE_STAGE": "prod", "HOME": "/root"}).diagnostics
    assert [diagnostic.code for diagnostic in diagnostics] == ["env"], "\n".join(map(str, diagnostics))
    assert stands_at(diagnostics[0], words), diagnostics[0]
    assert message in diagnostics[0].message
    assert diagnostics[0].suggestion == meant


def test_inside_brackets_it_has_to_be_quoted(dags: Dags, stands_at: StandsAt) -> None:
    [diagnostic] = draft(dags, "retries: {count: ${env:SLUICEGATE_STAGE}}", {}).diagnostics
    assert stands_at(diagnostic, "{env:")
    assert "has to be quoted" in diagnostic.message
