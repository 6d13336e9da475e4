from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.discovery.shard import task_dag
from sluicegate.discovery.single_file import build_file, older_dags, pipelines_of
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline import PipelineErrors
from sluicegate.pipeline.lookup import stems
from tests.factory.files import BAD_ARGUMENT, DELAYS, FLIGHTS, MISSPELT, SYNTAX, write

MATRIX = """\
sluicegate: 1
matrix: {region: [eu, us]}
steps:
  a: {load: "s3://x/{{ matrix.region }}.csv", into: "table://warehouse/t_{{ matrix.region }}"}
"""


@pytest.fixture
def home(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "home")


def names(file: Path, root: Path, home: BundleStore) -> list[str]:
    return [entry.name for entry in pipelines_of(file, root, home)]


def test_a_good_file_is_kept_and_goes_on_when_it_turns_bad(root: Path, home: BundleStore) -> None:
    file = write(root, flights=FLIGHTS) / "flights.yaml"
    [dag] = build_file(file, root, home).dags
    assert dag.dag_id == "flights"
    for bad in (SYNTAX, MISSPELT, BAD_ARGUMENT):
        file.write_text(bad)
        with pytest.raises(PipelineErrors):
            build_file(file, root, home)
        [(entry, older)] = older_dags(file, root, home)
        assert entry.text.decode() == FLIGHTS
        assert older.task_ids == dag.task_ids
        assert any(tag.startswith("older version ") for tag in older.tags)
        assert task_dag(home, root, "flights").task_ids == dag.task_ids


def test_all_errors_come_together_and_no_warnings_among_them(root: Path, home: BundleStore) -> None:
    file = write(root, misspelt=MISSPELT.replace("into:", "onto:")) / "misspelt.yaml"
    with pytest.raises(PipelineErrors) as caught:
        build_file(file, root, home)
    assert {diagnostic.line for diagnostic in caught.value.diagnostics} == {2, 4}
    assert all(diagnostic.is_error for diagnostic in caught.value.diagnostics)


def test_who_reads_from_a_file_that_turned_bad_goes_on_without_an_error(root: Path, home: BundleStore) -> None:
    write(root, flights=FLIGHTS, delays=DELAYS)
    before = build_file(root / "delays.yaml", root, home).dags[0]
    write(root, flights=SYNTAX)
    assert build_file(root / "delays.yaml", root, home).dags[0].task_ids == before.task_ids
    # Changed itself, it cannot be judged.
    write(root, delays=DELAYS.replace("key: id", "key: other"))
    with pytest.raises(PipelineErrors, match="upstream-broken"):
        build_file(root / "delays.yaml", root, home)


def test_a_matrix_makes_several_and_what_it_makes_no_more_is_forgotten(root: Path, home: BundleStore) -> None:
    file = write(root, sales=MATRIX) / "sales.yaml"
    assert [dag.dag_id for dag in build_file(file, root, home).dags] == ["sales_eu", "sales_us"]
    assert task_dag(home, root, "sales_us").dag_id == "sales_us"
    file.write_text(MATRIX.replace("[eu, us]", "[eu]"))
    assert [dag.dag_id for dag in build_file(file, root, home).dags] == ["sales_eu"]
    assert names(file, root, home) == ["sales_eu"]


def test_a_file_that_is_only_called_alike_has_nothing_of_another(root: Path, home: BundleStore) -> None:
    write(root, flights=FLIGHTS, flights_late=FLIGHTS.replace("lake", "pond"))
    build_file(root / "flights_late.yaml", root, home)
    assert names(root / "flights.yaml", root, home) == []


def test_a_run_that_is_pinned_has_the_files_of_its_version_and_keeps_nothing(
    root: Path, tmp_path: Path, home: BundleStore
) -> None:
    file = write(root, flights=FLIGHTS) / "flights.yaml"
    build_file(file, root, home)
    pinned = write(tmp_path / "versions" / "1", flights=FLIGHTS.replace("fetch:", "get:"))
    dag = task_dag(home, pinned, "flights")
    assert dag.task_ids == ["get", "load_flights"]
    assert dag.source == str(pinned / "flights.yaml")
    assert next(pipelines_of(file, root, home)).text.decode() == FLIGHTS
    write(pinned, flights=SYNTAX)
    assert task_dag(home, pinned, "flights").task_ids == ["fetch", "load_flights"]


def test_a_file_that_came_after_the_index_was_made_is_found(root: Path, home: BundleStore) -> None:
    write(root, delays=DELAYS)
    index = stems(root)
    write(root, flights=FLIGHTS)
    assert build_file(root / "delays.yaml", root, home, index).dags[0].dag_id == "delays"
