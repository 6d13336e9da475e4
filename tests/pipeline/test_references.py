"""A column that refers to a dataset makes its step read it: edges, waits and errors follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.graph.edges import edges
from sluicegate.graph.waits import UpstreamWait, waits
from sluicegate.pipeline import read_tree

AIRPORTS = """sluicegate: 1
schedule: {cron: "@weekly", start: 2026-01-01}
datasets: {airports: table://w/airports, daily: "s3://b/{{ ds }}.csv"}
steps:
  load_airports: {load: s3://b/a.csv, into: airports, key: faa}
  split: {spark: job.py, cluster: c, reads: airports, writes: daily}
clusters: {c: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}
"""


def trips(reference: str, more: str = "") -> str:
    return f"""sluicegate: 1
schedule: {{cron: "@daily", start: 2026-01-01}}
datasets: {{trips: table://w/trips, own: table://w/own}}
steps:
  load_own: {{load: s3://b/o.csv, into: own, key: k}}
  load_trips:
    load: s3://b/t.csv
    into: trips
    key: id
    columns: {{dest: {{references: {reference}}}{more}}}
"""


def write(root: Path, reference: str, more: str = "") -> None:
    (root / "job.py").write_text("")
    (root / "flights.yaml").write_text(AIRPORTS.replace("\nclusters: {c", "\n#"))
    (root / "defaults.yaml").write_text("clusters: {c: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}\n")
    (root / "trips.yaml").write_text(trips(reference, more))


def test_a_dataset_of_another_pipeline_is_waited_for_until_it_has_been_written_once(tmp_path: Path) -> None:
    write(tmp_path, "flights.airports.faa", ", orig: {references: flights.airports.faa}")
    tree = read_tree(tmp_path)
    assert [str(one) for one in tree.diagnostics if one.is_error] == []
    (wait,) = waits(tree.pipelines["trips"], tree.pipelines)
    assert isinstance(wait, UpstreamWait)
    assert (wait.dag, wait.task, wait.latest, wait.readers) == ("flights", "load_airports", True, ("load_trips",))


def test_a_dataset_of_the_same_pipeline_is_loaded_before(tmp_path: Path) -> None:
    write(tmp_path, "own.k")
    tree = read_tree(tmp_path)
    assert [str(one) for one in tree.diagnostics if one.is_error] == []
    assert edges(tree.pipelines["trips"]) == (("load_own", "load_trips"),)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("flight.airports.faa", "there is no pipeline `flight`; did you mean flights.airports?"),
        ("flights.airport.faa", "`flights` has no dataset `airport`; did you mean flights.airports?"),
        ("onw.k", "there is no dataset 'onw'; did you mean own?"),
        ("flights.daily.x", "changes with each window"),
        ("airports", "expected dataset.column or pipeline.dataset.column, not 'airports'"),
        ("a.b.c.d", "expected dataset.column or pipeline.dataset.column"),
        ("trips.id", "`load_trips` reads what it writes itself"),
    ],
)
def test_what_a_reference_cannot_be_is_an_error_at_its_place(tmp_path: Path, reference: str, words: str) -> None:
    write(tmp_path, reference)
    (error,) = (one for one in read_tree(tmp_path).diagnostics if one.is_error)
    whole = error.message + (f"; did you mean {error.suggestion}?" if error.suggestion else "")
    assert words in whole
    assert (error.file.name, error.line) == ("trips.yaml", 10)


@pytest.mark.parametrize(
    ("reference", "line", "meant"),
    [("own.kk", 10, "own.k_k"), ("flights.airports.fa", 10, "flights.airports.faa"), ("own.other", 10, None),
     ("flights.airports.faa", 10, None), ("own.at", 10, None)],
)  # fmt: skip
def test_a_reference_to_nearly_a_column_that_its_load_states_is_a_warning(
    tmp_path: Path, reference: str, line: int, meant: str | None
) -> None:
    write(tmp_path, reference)
    own = "key: k_k, newest_by: at, columns: {b: text}}"
    for name, old, new in (("trips", "key: k}", own), ("flights", "airports}", "airports, columns: {faa: text}}")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(file.read_text().replace(old, new, 1))
    found = [one for one in read_tree(tmp_path).diagnostics if one.code == "unknown-column"]
    assert [(one.line, one.suggestion, one.severity) for one in found] == ([(line, meant, "warning")] if meant else [])
