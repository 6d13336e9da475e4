"""DOT, Mermaid and SVG of names that would like to be more than names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from sluicegate.picture import Box, Edge, EdgeKind, Line, Node, NodeKind, Picture, dot, mermaid
from sluicegate.picture.kinds import DATA, FILE, LATEST, OTHER_DAG, SOURCE_TABLE, STEPS
from sluicegate.picture.measures import DETAIL, LABEL, visible
from sluicegate.picture.palette import ERROR, ERROR_FILL, MUTED, NODE, ORANGE, PAPER, RED, TEXT
from sluicegate.picture.pipelines import picture_of
from sluicegate.picture.png import png
from sluicegate.picture.svg import svg
from sluicegate.pipeline import Tree
from tests.picture.font import Font

EVIL = 'a"] ; x -> y [label="<script>alert(1)</script>&amp;`#quot;\\" end\nclick x "javascript:1" %% \x1b[31m'


@pytest.fixture
def evil() -> Picture:
    step = Node(f"step:{EVIL}", STEPS["python"], EVIL, EVIL, EVIL)
    table = Node(f"dataset:{EVIL}", SOURCE_TABLE, EVIL, "", EVIL)
    box = Box(f"pipeline:{EVIL}", EVIL, (step, table), EVIL, EVIL, broken=True)
    return Picture((box,), (Node("dag:end", OTHER_DAG, "end"),), (Edge(table.id, step.id, LATEST),))


def test_names_stay_names_in_svg(evil: Picture) -> None:
    root = ET.fromstring(svg(evil))
    assert {each.tag.partition("}")[2] for each in root.iter()} <= {
        "svg", "metadata", "style", "rect", "g", "path", "polygon", "text", "title",
    }  # fmt: skip
    words = [each.text or "" for each in root.iter() if each.tag.endswith("}text")]
    assert sum("<script>" in each for each in words) == 5
    assert not any("\x1b" in each for each in words)


def test_names_stay_names_for_graphviz(evil: Picture) -> None:
    frames = frames_of(evil)
    assert set(frames) == {visible(each.id) for each in (*evil.all_nodes(), *evil.boxes)}
    assert svg(evil).count('<g class="edge ') == len(evil.edges) + 1  # and one in the legend


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
    assert sum(" --> " in line for line in lines) == sum(each.kind is DATA for each in picture.edges)
    assert [line.strip() for line in lines if " -.-> " in line] == ["dataset_raw_ports -.-> step_report_count"]
    assert [line.strip() for line in lines if " ==> " in line] == [
        "dag_legacy_export ==> step_raw_ports",
        "step_report_count ==> step_report_tell",
    ]
    names = [re.split(r"[\[({]", line.strip())[0] for line in lines if ":::" in line]
    assert len(names) == len(set(names)) == len(list(picture.all_nodes()))


def test_ids_that_look_the_same_in_mermaid_stay_apart() -> None:
    nodes = (Node("dataset:a.b_c", FILE, "one"), Node("dataset:a.b.c", FILE, "two"))
    text = mermaid(Picture(nodes=nodes))
    assert 'dataset_a_b_c(["<b>one</b>"])' in text
    assert 'dataset_a_b_c_2(["<b>two</b>"])' in text


def test_edges_of_dot_have_the_style_of_their_kind(tree: Tree) -> None:
    text = dot(picture_of(tree))
    assert re.search(r'"dataset:raw.ports" -> "step:report.count" \[id="edge\d+", class="latest", style=dashed\]', text)
    assert re.search(r'"step:report.count" -> "step:report.tell" \[id="edge\d+", class="after", style=dotted\]', text)


@dataclass(frozen=True)
class Frame:
    left: float
    top: float
    right: float
    bottom: float


def frames_of(picture: Picture) -> dict[str, Frame]:
    """Where the boxes and nodes of a picture are, by id: the extent of what is drawn of them, without words."""
    found: dict[str, Frame] = {}

    def visit(element: ET.Element, right: float, down: float) -> None:
        if moved := re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
            right, down = right + float(moved[1]), down + float(moved[2])
        if name := element.get("id"):
            points = [point for each in element for point in points_of(each)]
            across, along = [x + right for x, _ in points], [y + down for _, y in points]
            assert name not in found
            found[name] = Frame(min(across), min(along), max(across), max(along))
        for each in element:
            visit(each, right, down)

    visit(ET.fromstring(svg(picture)), 0, 0)
    return found


def points_of(shape: ET.Element) -> list[tuple[float, float]]:
    kind = shape.tag.rpartition("}")[2]
    if kind == "rect":
        left, top, width, height = (float(shape.attrib[name]) for name in ("x", "y", "width", "height"))
        return [(left, top), (left + width, top + height)]
    if kind in ("path", "polygon") and shape.get("class") != "bar":
        words = shape.get("d") or shape.attrib["points"]
        return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", words)]
    return []


def test_nothing_overlaps_and_everything_is_inside_its_box(tree: Tree) -> None:
    picture = picture_of(tree)
    frames = frames_of(picture)
    nodes = [frames[each.id] for each in picture.all_nodes()]
    boxes = [frames[each.id] for each in picture.boxes]
    for these in (nodes, boxes):
        for index, one in enumerate(these):
            for other in these[index + 1 :]:
                apart = (
                    one.right <= other.left + 0.1
                    or other.right <= one.left + 0.1
                    or one.bottom <= other.top + 0.1
                    or other.bottom <= one.top + 0.1
                )
                assert apart
    for box in picture.boxes:
        around = frames[box.id]
        for node in box.nodes:
            inside = frames[node.id]
            assert around.left <= inside.left
            assert inside.right <= around.right
            # The title's two lines stand above.
            assert around.top + 40 <= inside.top
            assert inside.bottom <= around.bottom


def test_the_flow_is_from_left_to_right(tree: Tree) -> None:
    picture = picture_of(tree)
    frames = frames_of(picture)
    for edge in picture.edges:
        assert frames[edge.tail].right < frames[edge.head].left


def test_no_words_are_wider_than_what_they_are_in() -> None:
    """Measured with the font that comes along, and thereby with Arial, whose widths are the same."""
    fonts = Path(str(files("sluicegate.picture"))) / "fonts"
    regular, bold = (Font(fonts / f"Arimo-{name}.ttf") for name in ("Regular", "Bold"))
    labels = ["WWW_MMM_QQQ", "illicit_fillip", "a", "load_flights_of_the_day_before", "Ünïcödé_ÄÖÜ"]
    nodes = [Node(f"{kind.name} {label}", kind, label, label * 2) for kind in (STEPS["load"], FILE) for label in labels]
    frames = frames_of(Picture(nodes=tuple(nodes)))
    for node in nodes:
        frame = frames[node.id]
        one_line = node.kind is FILE
        label = (regular if one_line else bold).width(node.label, LABEL)
        detail = 0 if one_line else regular.width(node.detail, DETAIL)
        assert max(label, detail) + (10 if one_line else 17) <= frame.right - frame.left


def test_a_png_is_drawn_with_the_font_that_comes_along(tree: Tree) -> None:
    assert png(picture_of(tree)).startswith(b"\x89PNG\r\n")


def test_no_pipelines_is_a_picture_too() -> None:
    nothing = Picture()
    assert mermaid(nothing) == "flowchart LR\n"
    assert png(nothing).startswith(b"\x89PNG\r\n")


def test_any_graph_is_drawn_not_of_pipelines_alone() -> None:
    late = NodeKind("late", RED, "late since yesterday")
    blocks = EdgeKind("blocks", Line.DOTTED, "waits for")
    nodes = Node("one", late, "one", "run of Monday"), Node("two", late, "two", "run of Tuesday")
    waves = tuple(Box(f"wave:{number}", f"Wave {number}", (node,)) for number, node in enumerate(nodes, 1))
    picture = Picture(waves, edges=(Edge("one", "two", blocks),))
    frames = frames_of(picture)
    assert frames["wave:1"].right < frames["wave:2"].left
    words = [each.text for each in ET.fromstring(svg(picture)).iter() if each.tag.endswith("}text")]
    assert words[-2:] == ["late since yesterday", "waits for"]
    assert "one ==> two" in mermaid(picture)
    assert png(picture).startswith(b"\x89PNG")


def test_each_colour_of_a_kind_has_its_dark_one() -> None:
    text = svg(Picture(nodes=(Node("x", STEPS["spark"], "x"), Node("y", FILE, "y", broken=True))))
    style = re.search(r"prefers-color-scheme: dark\) \{ (.*) \}</style>", text)
    assert style is not None
    for colour in (PAPER, NODE, TEXT, MUTED, ERROR, ERROR_FILL, ORANGE):
        assert colour.light in text
        assert colour.dark in style[1]
