"""A key of a load that is new takes one edit, in its model: a copy of the package has one more, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import sluicegate
from sluicegate.ledger.entries import Origin
from sluicegate.load.request import LoadRequest, request_of
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import LoadStep
from tests.fresh import FreshAirflow

BEFORE = '    format: Format | None = None\n    """How its file is read; wins'
NEW = '''\
    on_empty: Literal["load", "fail"] = "load"
    """What becomes of a source without a record. Example: `fail`."""
'''
PIPELINE = """\
sluicegate: 1
owner: pub
steps:
  a:
    load: file:///in/x.csv
    into: table://warehouse/x
    key: id
"""
ASKED = """
import json, sys
from pathlib import Path

from sluicegate.factory.build import build_dag
from sluicegate.ledger.entries import Origin
from sluicegate.load.operator import LoadOperator
from sluicegate.load.request import request_of
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.reference import reference_page
from sluicegate.pipeline.keys.schema import pipeline_schema

root = Path(sys.argv[1])
found = {}
for path in sorted(root.glob("*.yaml")):
    draft = read_draft(path, root)
    found[path.stem] = [(m.code, m.line, m.column, m.message, m.suggestion) for m in draft.diagnostics if m.is_error]

def request(name):
    (pipeline,) = read_draft(root / f"{name}.yaml", root).pipelines
    return request_of(pipeline.steps["a"], ["x.csv"], "x", Origin(), root=root)

by_hand = LoadOperator(task_id="a", source="x.csv", into="table://w/x", key="id", on_empty="fail")
print(json.dumps({
    "schema": pipeline_schema()["definitions"]["load_step"]["properties"].get("on_empty"),
    "row": [line for line in reference_page().splitlines() if line.startswith("| `on_empty`")],
    "mistakes": found,
    "request": request("said").on_empty,
    "digests": {name: request(name).digest() for name in ("unsaid", "default", "said")},
    "operator": by_hand.options.on_empty,
    "task": build_dag(read_draft(root / "said.yaml", root).pipelines[0], {}).get_task("a").options.on_empty,
}))
"""
SAID = {"unsaid": "", "default": "on_empty: load", "said": "on_empty: fail", "slip": "on_emty: fail",
        "value": "on_empty: fial", "type": "on_empty: 5"}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, fresh: FreshAirflow) -> dict[str, Any]:
    """What the package says that has the key."""
    folder = tmp_path_factory.mktemp("new_key")
    package, root = folder / "sluicegate", folder / "dags"
    shutil.copytree(Path(sluicegate.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    model = package / "pipeline" / "keys" / "load.py"
    text = model.read_text()
    assert text.count(BEFORE) == 1
    model.write_text(text.replace(BEFORE, NEW + BEFORE))
    root.mkdir()
    for name, said in SAID.items():
        (root / f"{name}.yaml").write_text(f"{PIPELINE}    {said}\n")
    done = fresh.run(ASKED, root, env={"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    return {"root": root, **json.loads(done.stdout.splitlines()[-1])}


def test_a_new_key_is_in_the_schema_and_on_the_page(told: dict[str, Any]) -> None:
    assert told["schema"]["anyOf"][0] == {"enum": ["load", "fail"]}
    words = {key: told["schema"][key] for key in ("description", "default", "examples")}
    assert words == {
        "description": "What becomes of a source without a record.", "default": "load", "examples": ["fail"],
    }  # fmt: skip
    assert told["row"] == [
        "| `on_empty` | `load`, `fail` | `load` | What becomes of a source without a record. | `fail` |"
    ]


def test_a_new_key_is_read_with_its_type_and_its_slips(told: dict[str, Any]) -> None:
    mistakes = told["mistakes"]
    assert [mistakes[name] for name in ("unsaid", "default", "said")] == [[], [], []]
    assert mistakes["slip"] == [["unknown-key", 8, 5, "a load step has no key `on_emty`", "on_empty"]]
    assert mistakes["value"] == [["value", 8, 15, "expected one of load, fail, not 'fial'", "fail"]]
    assert [(code, line, column) for code, line, column, *_ in mistakes["type"]] == [("value", 8, 15)]


def test_a_new_key_reaches_the_request_by_the_file_and_by_hand(told: dict[str, Any]) -> None:
    assert (told["request"], told["operator"], told["task"]) == ("fail", "fail", "fail")


def test_a_new_key_counts_for_the_digest_once_it_is_said_otherwise(told: dict[str, Any]) -> None:
    digests = told["digests"]
    (pipeline,) = read_draft(told["root"] / "unsaid.yaml", told["root"]).pipelines
    step = pipeline.steps["a"]
    assert isinstance(step, LoadStep)
    before = request_of(step, ["x.csv"], "x", Origin(), root=told["root"]).digest()
    assert digests["unsaid"] == digests["default"] == before, "a new version loads nothing again"
    assert digests["said"] != before


def test_where_a_suite_is_does_not_count_but_what_it_says_does(tmp_path: Path) -> None:
    rule = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}}
    for name, rules in {"one": [rule], "moved": [rule], "other": []}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": "s", "expectations": rules}))
    one, moved, other = (
        LoadRequest(sources=("x.csv",), table="x", root=tmp_path, suite=f"{name}.json").digest()
        for name in ("one", "moved", "other")
    )
    assert one == moved != other
