"""DOT, Mermaid and SVG of names that would like to be more than names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from sluicegate.picture import Box, Edge, EdgeKind, Node, NodeKind, Picture, dot, mermaid, picture_of
from sluicegate.picture.layout import layout_of
from sluicegate.picture.png import png
from sluicegate.picture.svg import svg
from sluicegate.pipeline import Tree

EVIL = 'a"] ; x -> y [label="<script>alert(1)</script>&amp;`#quot;\\" end\nclick x "javascript:1" %% \x1b[31m'


@pytest.fixture
def evil() -> Picture:
    step = Node(f"step:{EVIL}", NodeKind.PYTHON, EVIL, EVIL, EVIL)
    table = Node(f"dataset:{EVIL}", NodeKind.TABLE, EVIL, "", EVIL, source=True)
    box = Box(f"pipeline:{EVIL}", EVIL, (step, table), EVIL, EVIL, broken=True)
    return Picture((box,), (Node("dag:end", NodeKind.OTHER_DAG, "end"),), (Edge(table.id, step.id, EdgeKind.LATEST),))


def test_names_stay_names_in_svg(evil: Picture) -> None:
    root = ET.fromstring(svg(evil, layout_of(evil)))
    assert {each.tag.partition("}")[2] for each in root.iter()} <= {
        "svg", "metadata", "style", "rect", "g", "path", "polygon", "text", "title",
    }  # fmt: skip
    words = [each.text or "" for each in root.iter() if each.tag.endswith("}text")]
    assert sum("<script>" in each for each in words) == 5
    assert not any("\x1b" in each for each in words)


def test_names_stay_names_for_graphviz(evil: Picture) -> None:
    layout = layout_of(evil)
    assert set(layout.nodes) == {each.id for each in evil.all_nodes()}
    assert set(layout.boxes) == {each.id for each in evil.boxes}
    assert set(layout.edges) == {(each.tail, each.head) for each in evil.edges}


def test_names_stay_names_in_mermaid(evil: Picture) -> None:
    text = mermaid(evil)
    assert len(text.splitlines()) == 12
    for line in text.splitlines():
        assert "<script" not in line
        assert "javascript:1" not in line.partition('"')[0]
        assert not re.search(r"[;`\\%]", re.sub(r"#\d+;", "", line).replace("stroke-dasharray", ""))
        assert line.count('"') in (0, 2)


def test_mermaid_has_every_node_and_edge_once(tree: Tree) -> None:
    picture = picture_of(tree)
    lines = mermaid(picture).splitlines()
    assert lines[0] == "flowchart LR"
    assert sum(" --> " in line for line in lines) == sum(each.kind is EdgeKind.DATA for each in picture.edges)
    assert [line.strip() for line in lines if " -.-> " in line] == ["dataset_raw_ports -.-> step_report_count"]
    assert [line.strip() for line in lines if " ==> " in line] == [
        "dag_legacy_export ==> step_raw_ports",
        "step_report_count ==> step_report_tell",
    ]
    names = [re.split(r"[\[({]", line.strip())[0] for line in lines if ":::" in line]
    assert len(names) == len(set(names)) == len(list(picture.all_nodes()))


def test_ids_that_look_the_same_in_mermaid_stay_apart() -> None:
    nodes = (Node("dataset:a.b_c", NodeKind.FILE, "one"), Node("dataset:a.b.c", NodeKind.FILE, "two"))
    text = mermaid(Picture(nodes=nodes))
    assert 'dataset_a_b_c(["<b>one</b>"])' in text
    assert 'dataset_a_b_c_2(["<b>two</b>"])' in text


def test_edges_of_dot_have_the_style_of_their_kind(tree: Tree) -> None:
    text = dot(picture_of(tree))
    assert re.search(r'"dataset:raw.ports" -> "step:report.count" \[id="\d+", style=dashed\]', text)
    assert re.search(r'"step:report.count" -> "step:report.tell" \[id="\d+", style=dotted\]', text)


def test_nothing_overlaps_and_everything_is_inside_its_box(tree: Tree) -> None:
    picture = picture_of(tree)
    layout = layout_of(picture)
    for these in (list(layout.nodes.values()), list(layout.boxes.values())):
        for index, one in enumerate(these):
            for other in these[index + 1 :]:
                apart = (
                    one.left + one.width <= other.left + 0.1
                    or other.left + other.width <= one.left + 0.1
                    or one.top + one.height <= other.top + 0.1
                    or other.top + other.height <= one.top + 0.1
                )
                assert apart
    for box in picture.boxes:
        around = layout.boxes[box.id]
        for node in box.nodes:
            inside = layout.nodes[node.id]
            assert around.left <= inside.left
            assert inside.left + inside.width <= around.left + around.width
            # The title's two lines stand above.
            assert around.top + 40 <= inside.top
            assert inside.top + inside.height <= around.top + around.height


def test_the_flow_is_from_left_to_right(tree: Tree) -> None:
    picture = picture_of(tree)
    layout = layout_of(picture)
    for edge in picture.edges:
        tail, head = layout.nodes[edge.tail], layout.nodes[edge.head]
        assert tail.left + tail.width < head.left


def test_a_png_is_drawn_with_the_font_that_comes_along(tree: Tree) -> None:
    picture = picture_of(tree)
    assert png(picture, layout_of(picture)).startswith(b"\x89PNG\r\n")


def test_no_pipelines_is_a_picture_too() -> None:
    nothing = Picture()
    assert mermaid(nothing) == "flowchart LR\n"
    assert png(nothing, layout_of(nothing)).startswith(b"\x89PNG\r\n")
