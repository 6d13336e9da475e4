"""What goes into a document, and what must not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from sluicegate.pipeline import read_together
from sluicegate.receipts.making import Known, at_beginning, presentable


def shown(document: dict[str, Any]) -> dict[str, Any]:
    return presentable(document, lambda text: text.replace("canary", "***"))


def test_what_a_person_gave_is_masked_by_its_name_and_all_texts_by_their_words() -> None:
    found = shown(
        {
            "params": {"password": "hunter2", "country": "DE", "day": date(2026, 1, 1)},
            "facts": {"target": "postgresql://me:hunter2@db/x", "note": "the canary sings"},
        }
    )
    assert found["params"] == {"password": "***", "country": "DE", "day": "2026-01-01"}
    assert found["facts"] == {"target": "postgresql://me:***@db/x", "note": "the *** sings"}


def test_counts_and_files_keep_their_values_whatever_they_are_called() -> None:
    document = {"facts": {"dead_letters": {"required:token": 3}}, "code": {"files": {"tokens.py": "3f2a"}}}
    assert shown(document) == document


def test_a_param_that_is_a_password_is_masked_whatever_it_is_called(tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(
        "sluicegate: 1\nparams: {pin: {type: string, format: password, default: x}}\n"
        "steps: {post: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n"
    )
    [pipeline] = read_together(file, tmp_path).pipelines
    document = at_beginning(Known("post", "Empty", pipeline, tmp_path, {"pin": "4711", "force": True}, force=True))
    assert (document["params"], document["force"]) == ({"pin": "***"}, True)
    assert document["pipeline"]["own"]


def test_values_of_variables_are_in_it_as_short_digests_alone(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLUICEGATE_OWNER", "canary")
    file = tmp_path / "orders.yaml"
    file.write_text(
        "sluicegate: 1\nowner: '${env:SLUICEGATE_OWNER}'\n"
        "steps: {post: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n"
    )
    [pipeline] = read_together(file, tmp_path).pipelines
    document = at_beginning(Known("post", "Empty", pipeline, tmp_path, {}))
    assert len(document["pipeline"]["env"]["SLUICEGATE_OWNER"]) == 6
    assert "canary" not in str(document)
