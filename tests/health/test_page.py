"""What docs/health.md says, held against the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from sluicegate.health.findings import Severity, State, What
from sluicegate.health.report import VERSION

TEXT = (Path(__file__).parents[2] / "docs/health.md").read_text(encoding="utf-8")


def test_every_word_of_a_finding_is_in_the_table_with_its_severity() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (problem|warning) \|", TEXT, re.MULTILINE))
    assert set(rows) == {str(what) for what in What}
    assert set(rows.values()) == {str(severity) for severity in Severity}


def test_the_answer_is_json_with_all_states() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    answer = json.loads(block)
    assert answer["version"] == VERSION
    assert {str(state) for state in State} <= set(answer["counts"])


def test_what_is_for_other_programs_is_yaml() -> None:
    blocks = re.findall(r"```yml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert yaml.safe_load(block)
