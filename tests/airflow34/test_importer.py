"""Airflow 3.4 lists pipeline files through our importer: its dag-processor, its scheduler and its workers, for real."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.airflow34.conftest import Airflow34, write
from tests.airflow34.files import (
    BAD_ARGUMENT,
    CODE,
    MATRIX,
    NUMBERS,
    SMALL,
    STEADY,
    SUMS,
    SYNTAX,
    THEIRS,
    TWO_MISTAKES,
    WARNED,
    reader_of,
)

WAIT = 240
"""Seconds that anything may take on a busy machine; nearly all of it takes two."""

GOOD = {
    "numbers": "team/numbers.yaml",
    "sums": "sums.yml",
    "sales_eu": "sales.yaml",
    "sales_us": "sales.yaml",
    "steady": "steady.yaml",
    "warned": "warned.yaml",
    "theirs": "theirs.yaml",
}
BAD = {
    "two.yaml": ["2:1", "4:56"],
    "open.yaml": ["3:6"],
    "argument.yaml": ["5:12"],
    "round_a.yaml": ["6:48"],
    "deep/er/round_b.yaml": ["6:48"],
    "x/same.yaml": ["1:1"],
    "y/same.yaml": ["1:1"],
}


@pytest.fixture(scope="module")
def airflow(airflow34: Airflow34) -> Airflow34:
    """The dag-processor has seen all files once."""
    files = {
        "defaults.yaml": "tags: [first]\n",
        "work/numbers.py": CODE,
        "team/numbers.yaml": NUMBERS.replace("FOLDER", str(airflow34.folder)),
        "sums.yml": SUMS,
        "sales.yaml": MATRIX,
        "steady.yaml": STEADY.replace("FOLDER", str(airflow34.folder)),
        "warned.yaml": WARNED,
        "two.yaml": TWO_MISTAKES,
        "open.yaml": SYNTAX,
        "argument.yaml": BAD_ARGUMENT,
        "round_a.yaml": reader_of("round_b"),
        "deep/er/round_b.yaml": reader_of("round_a"),
        "x/same.yaml": SMALL,
        "y/same.yaml": SMALL,
        # Left alone.
        "values.yml": "image: {tag: [\n",
        ".github/hidden.yaml": TWO_MISTAKES,
        "node_modules/theirs.yaml": TWO_MISTAKES,
        ".airflowignore": "attic/\n",
        "attic/ignored.yaml": TWO_MISTAKES,
    }
    write(airflow34.dags, files)
    write(airflow34.theirs, {"theirs.yaml": THEIRS})
    airflow34.start("api-server", "dag-processor")
    airflow34.until(airflow34.serves_tasks, WAIT, "the api-server")
    airflow34.start("scheduler", "triggerer")
    airflow34.until(
        lambda: airflow34.active() == GOOD and airflow34.errors().keys() == BAD.keys(), WAIT, "all files to be seen"
    )
    return airflow34


def places(text: str, file: str) -> list[str]:
    return re.findall(rf"^{re.escape(file)}:(\d+:\d+): error", text, re.MULTILINE)


def test_good_files_are_dags_and_the_yaml_is_where_they_come_from(airflow: Airflow34) -> None:
    assert airflow.active() == GOOD
    found = dict(airflow.query("SELECT dag_id, fileloc FROM dag"))
    assert found["numbers"] == str(airflow.dags / "team" / "numbers.yaml")


def test_a_bad_file_has_one_error_under_its_own_name_with_all_its_mistakes(airflow: Airflow34) -> None:
    errors = airflow.errors()
    assert {file: places(text, file) for file, text in errors.items()} == BAD
    assert "Traceback" not in "".join(errors.values())
    assert errors["two.yaml"].startswith("two.yaml:2:1: error[unknown-key]: a pipeline has no key `shedule`\n")
    assert errors["two.yaml"].endswith("did you mean `key`?")
    assert "these pipelines wait for each other: round" in errors["round_a.yaml"]


def test_the_code_tab_shows_the_yaml(airflow: Airflow34) -> None:
    assert airflow.code("sums") == (SUMS, "yaml")


def test_a_warning_stands_on_the_page_of_its_dag(airflow: Airflow34) -> None:
    [(kind, text)] = airflow.query("SELECT warning_type, message FROM dag_warning WHERE dag_id = 'warned'")
    assert kind == "sluicegate:same-place"
    assert text.startswith("warned.yaml:4:33: warning[same-place]: `a` and `b` both write this")


def test_airflows_own_yaml_format_lives_in_another_bundle(airflow: Airflow34) -> None:
    assert airflow.query("SELECT bundle_name FROM dag WHERE dag_id = 'theirs'") == [("theirs",)]


def test_an_edit_is_seen_at_once_good_or_bad(airflow: Airflow34) -> None:
    write(airflow.dags, {"edited.yaml": SMALL})
    airflow.until(lambda: "edited" in airflow.active(), WAIT, "a new file")
    write(airflow.dags, {"edited.yaml": SMALL.replace("into:", "onto:")})
    airflow.until(lambda: "edited.yaml" in airflow.errors(), WAIT, "the file to turn bad")
    assert places(airflow.errors()["edited.yaml"], "edited.yaml")
    write(airflow.dags, {"edited.yaml": SMALL.replace("sluicegate: 1", "sluicegate: 1\ndescription: mended")})
    airflow.until(lambda: "edited.yaml" not in airflow.errors(), WAIT, "the file to be mended")
    assert airflow.active()["edited"] == "edited.yaml"
    assert "mended" in airflow.code("edited")[0]


def test_a_deleted_file_takes_its_dag_or_its_error_with_it(airflow: Airflow34) -> None:
    write(airflow.dags, {"brief.yaml": SMALL, "wrong.yaml": TWO_MISTAKES})
    airflow.until(lambda: "brief" in airflow.active() and "wrong.yaml" in airflow.errors(), WAIT, "two new files")
    (airflow.dags / "brief.yaml").unlink()
    (airflow.dags / "wrong.yaml").unlink()
    airflow.until(lambda: "brief" not in airflow.active() and "wrong.yaml" not in airflow.errors(), WAIT, "both to go")


def test_a_file_that_is_no_pipeline_any_more_is_left_alone(airflow: Airflow34) -> None:
    write(airflow.dags, {"brief.yaml": SMALL})
    airflow.until(lambda: "brief" in airflow.active(), WAIT, "a new file")
    write(airflow.dags, {"brief.yaml": "values: 1\n"})
    airflow.until(lambda: "brief" not in airflow.active(), WAIT, "the DAG to go")
    assert "brief.yaml" not in airflow.errors()


def test_changed_defaults_reach_the_files_below_them(airflow: Airflow34) -> None:
    tags = "SELECT name FROM dag_tag WHERE dag_id = 'sums'"
    assert airflow.query(tags) == [("first",)]
    write(airflow.dags, {"defaults.yaml": "tags: [second]\n"})
    # Airflow looks at the time of change of the pipeline file alone: its `min_file_process_interval` decides, here 10.
    airflow.until(lambda: airflow.query(tags) == [("second",)], WAIT, "the defaults")


def test_workers_find_the_pipeline_by_the_importer_and_run_it(airflow: Airflow34) -> None:
    def ended() -> dict[str, str]:
        states = dict(airflow.query("SELECT dag_id, state FROM dag_run WHERE dag_id IN ('numbers', 'sums')"))
        return states if states and set(states.values()) <= {"success", "failed"} and len(states) == 2 else {}

    airflow.until(ended, WAIT, "two runs to end")
    tasks = airflow.query(
        "SELECT dag_id || '.' || task_id, state FROM task_instance WHERE dag_id IN ('numbers', 'sums')"
    )
    assert {state for _, state in tasks} == {"success"}, tasks
    assert len(tasks) == 5
    assert airflow.query("SELECT id, value FROM again ORDER BY id", database="warehouse") == [(1, 10), (2, 20)]


def test_a_bad_edit_stops_neither_the_run_that_goes_on_nor_the_next(airflow: Airflow34) -> None:
    good = STEADY.replace("FOLDER", str(airflow.folder))
    runs = "SELECT state FROM dag_run WHERE dag_id = 'steady' ORDER BY id"
    tags = "SELECT name FROM dag_tag WHERE dag_id = 'steady' AND name LIKE 'older version %%'"
    airflow.run("dags", "trigger", "steady")
    held = "SELECT 1 FROM task_instance WHERE task_id = 'hold' AND state = 'running'"
    airflow.until(lambda: airflow.query(held), WAIT, "its first task to run")
    write(airflow.dags, {"steady.yaml": TWO_MISTAKES})
    airflow.until(lambda: "steady.yaml" in airflow.errors(), WAIT, "the file to turn bad")
    assert places(airflow.errors()["steady.yaml"], "steady.yaml") == BAD["two.yaml"]
    assert airflow.active()["steady"] == "steady.yaml/older version"
    assert airflow.code("steady") == (good, "yaml")
    assert airflow.query(tags)
    (airflow.folder / "gate").touch()
    airflow.until(lambda: airflow.query(runs) == [("success",)], WAIT, "the run that was going on")
    airflow.run("dags", "trigger", "steady")
    airflow.until(lambda: airflow.query(runs) == [("success",)] * 2, WAIT, "the next run")
    write(airflow.dags, {"steady.yaml": good.replace("echo then", "echo mended")})
    airflow.until(lambda: airflow.active()["steady"] == "steady.yaml", WAIT, "the file to be mended")
    assert "steady.yaml" not in airflow.errors()
    assert "mended" in airflow.code("steady")[0]
    assert not airflow.query(tags)


def test_airflows_own_commands_find_the_pipeline(airflow: Airflow34) -> None:
    listed = airflow.run("dags", "list-import-errors", "--bundle-name", "pipelines", "--output", "plain", check=False)
    assert all(file in listed.stdout for file in BAD)


EMPTIED = """
import sys
from pathlib import Path
from airflow.dag_processing.bundles.local import LocalDagBundle
from sluicegate.discovery.importer import PipelineImporter

root = Path(sys.argv[1])
bundle = LocalDagBundle(name="emptied", path=str(root))
file = root / "small.yaml"
file.write_text(sys.argv[2])

def listed():
    try:
        return [repr(each) for each in PipelineImporter().list_dag_definitions(bundle)]
    except FileNotFoundError as error:
        return str(error)

[definition, _] = PipelineImporter().list_dag_definitions(bundle)
assert PipelineImporter().import_definition(definition, bundle).dags
file.unlink()
assert "has no YAML file any more, and 1 pipelines of it are scheduled" in listed()
(root / ".sluicegate-empty").touch()
assert listed() == []
(root / ".sluicegate-empty").unlink()
assert listed() == []
"""


def test_an_empty_root_cannot_be_listed_until_a_person_confirms_it(airflow: Airflow34, tmp_path: Path) -> None:
    # Airflow keeps the files and DAGs that it knows of a bundle that it cannot list.
    subprocess.run(
        [str(airflow.python), "-c", EMPTIED, str(tmp_path), SMALL], env=airflow.environment, check=True, timeout=120
    )


BUGGY = """
import json
import sys
from pathlib import Path
from airflow.dag_processing.bundles.local import LocalDagBundle
from sluicegate.discovery import single_file
from sluicegate.discovery.importer import PipelineImporter

root = Path(sys.argv[1])
for name in ("broken", "small"):
    (root / f"{name}.yaml").write_text(sys.argv[2])
build = single_file.build_file

def build_file(file, *rest):
    if file.stem == "broken":
        raise KeyError("nobody thought of this")
    return build(file, *rest)

single_file.build_file = build_file
bundle, importer = LocalDagBundle(name="buggy", path=str(root)), PipelineImporter()
results = [importer.import_definition(each, bundle) for each in importer.list_dag_definitions(bundle)]
print(json.dumps([[dag.dag_id for result in results for dag in result.dags],
                  [[error.source_reference, error.message] for result in results for error in result.errors]]))
"""


def test_a_bug_of_ours_is_the_error_of_its_file_alone(airflow34: Airflow34, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(airflow34.python), "-c", BUGGY, str(tmp_path), SMALL],
        env=airflow34.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    dags, errors = json.loads(done.stdout.splitlines()[-1])
    assert dags == ["small"]
    [(source, message)] = errors
    assert "broken.yaml" in source
    assert message.startswith("a bug of ours while importing this file: KeyError: 'nobody thought of this' at ")
