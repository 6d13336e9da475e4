from __future__ import annotations

from pathlib import Path

from sluicegate.picture import Edge, Node, Picture
from sluicegate.picture.kinds import AFTER, DATA, FILE, LATEST, OTHER_DAG, SOURCE_FILE, TABLE, UNREADABLE
from sluicegate.picture.pipelines import picture_of, pipelines_only
from sluicegate.pipeline import Tree, read_tree


def node(picture: Picture, name: str) -> Node:
    [found] = [each for each in picture.all_nodes() if each.id == name]
    return found


def test_a_box_is_a_pipeline_with_when_it_runs_and_whose_it_is(tree: Tree) -> None:
    picture = picture_of(tree)
    assert [(box.title, box.detail) for box in picture.boxes] == [
        ("late", "@daily"),
        ("lone", "no schedule"),
        ("raw", "@daily, sea"),
        ("report", "@daily"),
    ]


def test_data_goes_from_step_to_dataset_to_step_also_across_pipelines(tree: Tree) -> None:
    edges = picture_of(tree).edges
    assert Edge("step:raw.fetch", "dataset:raw.ships", DATA) in edges
    assert Edge("dataset:raw.ships", "step:report.count", DATA) in edges
    assert Edge("dataset:raw.ships", "step:late.read", DATA) in edges
    assert Edge("step:report.count", "dataset:report.s3://lake/counts/{{ ds }}.csv", DATA) in edges


def test_latest_and_after_are_edges_of_their_own_kinds(tree: Tree) -> None:
    edges = picture_of(tree).edges
    assert Edge("dataset:raw.ports", "step:report.count", LATEST) in edges
    assert Edge("step:report.count", "step:report.tell", AFTER) in edges
    assert Edge("dag:legacy.export", "step:raw.ports", AFTER) in edges


def test_steps_are_told_apart_by_kind_and_what_they_do(tree: Tree) -> None:
    picture = picture_of(tree)
    assert (node(picture, "step:raw.fetch").kind.name, node(picture, "step:raw.fetch").detail) == (
        "operator",
        "BashOperator",
    )
    assert node(picture, "step:raw.land").detail == "load, append"
    assert node(picture, "step:report.count").detail == "python count"
    assert node(picture, "dag:legacy.export").kind is OTHER_DAG


def test_a_source_is_what_nobody_writes(tree: Tree) -> None:
    picture = picture_of(tree)
    sources = {each.label for each in picture.all_nodes() if each.kind.dashed}
    assert sources == {"landing/ships.csv", "landing/ports.csv"}
    assert node(picture, "dataset:raw.ports").kind is TABLE


def test_a_pipeline_with_errors_is_drawn_as_far_as_it_is_readable(root: Path) -> None:
    (root / "late.yaml").write_text(
        "sluicegate: 1\nshedule: none\nsteps:\n  read: {python: harbour:tell, reads: {x: raw.nothing}}\n"
    )
    picture = picture_of(read_tree(root))
    [late] = [box for box in picture.boxes if box.title == "late"]
    assert late.broken
    assert late.detail == "no schedule, 2 errors"
    assert "2:1: " in late.tooltip
    assert not any(box.broken for box in picture.boxes if box is not late)
    lost = node(picture, "dataset:raw.nothing")
    assert lost.broken
    assert Edge(lost.id, "step:late.read", DATA) in picture.edges


def test_a_file_that_cannot_be_read_is_drawn_too(root: Path) -> None:
    (root / "late.yaml").write_text("sluicegate: 1\nsteps: [\n")
    (root / "deep").mkdir()
    (root / "deep" / "lone.yaml").write_text((root / "lone.yaml").read_text())
    picture = picture_of(read_tree(root))
    unreadable = {each.label for each in picture.nodes if each.kind is UNREADABLE}
    assert unreadable == {"late.yaml", "lone.yaml", "deep/lone.yaml"}


def test_of_a_pipeline_outside_only_what_is_read_is_drawn(tree: Tree) -> None:
    picture = picture_of(tree, {"late"}, ())
    assert [(box.title, box.partial, [each.label for each in box.nodes]) for box in picture.boxes] == [
        ("late", False, ["read"]),
        ("raw", True, ["ships"]),
    ]


def test_collapsed_pipelines_keep_their_edges(tree: Tree) -> None:
    picture = pipelines_only(tree)
    assert picture.boxes == ()
    assert set(picture.edges) == {
        Edge("pipeline:raw", "pipeline:late", DATA),
        Edge("pipeline:raw", "pipeline:report", DATA),
        Edge("dag:legacy.export", "pipeline:raw", AFTER),
    }


def test_only_the_latest_is_dashed_between_pipelines(root: Path) -> None:
    (root / "late.yaml").write_text(
        "sluicegate: 1\nsteps:\n  read: {python: harbour:tell, reads: {x: {dataset: raw.ports, latest: true}}}\n"
    )
    assert Edge("pipeline:raw", "pipeline:late", LATEST) in pipelines_only(read_tree(root)).edges


def test_a_mapped_step_has_its_files_and_its_folder_and_follows_whose_result_it_takes(root: Path) -> None:
    (root / "lone.yaml").write_text(
        "sluicegate: 1\n"
        'datasets: {part: "s3://b/all/{{ item }}.csv", all: s3://b/all/}\n'
        "steps:\n"
        "  names: {python: harbour:tell}\n"
        '  load: {for_each: {files: "s3://b/in/*.csv"}, load: "{{ item }}", into: table://warehouse/t, key: id}\n'
        "  cut: {for_each: {output_of: names}, python: harbour:tell, writes: part}\n"
        "  join: {load: all, into: table://warehouse/u}\n"
        "  undo: {python: harbour:tell, teardown_of: names}\n"
    )
    tree = read_tree(root)
    assert [diagnostic for diagnostic in tree.diagnostics if diagnostic.is_error] == []
    picture = picture_of(tree)
    assert node(picture, "step:lone.load").detail == "load, merge, for each"
    assert node(picture, "files:lone.load").kind is SOURCE_FILE
    assert node(picture, "dataset:lone.all").kind is FILE
    edges = {edge for edge in picture.edges if "lone" in edge.head}
    assert edges >= {
        Edge("files:lone.load", "step:lone.load", DATA),
        Edge("step:lone.names", "step:lone.cut", AFTER),
        Edge("step:lone.cut", "dataset:lone.part", DATA),
        Edge("step:lone.cut", "dataset:lone.all", DATA),
        Edge("dataset:lone.all", "step:lone.join", DATA),
        Edge("step:lone.names", "step:lone.undo", AFTER),
    }
    assert Edge("step:lone.cut", "step:lone.join", AFTER) not in edges
