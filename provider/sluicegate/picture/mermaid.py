"""A picture as Mermaid's text, which many pages (GitHub's, GitLab's) draw by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.picture.model import Box, Line, Node, Picture, Shape
from sluicegate.picture.palette import BOX, BOX_LINE, ERROR, ERROR_FILL, TEXT, Colour

__all__ = ["mermaid"]

_ARROWS = {Line.SOLID: "-->", Line.DASHED: "-.->", Line.DOTTED: "==>"}
_BRACKETS = {
    Shape.BOX: ('["', '"]'),
    Shape.PILL: ('(["', '"])'),
    Shape.CYLINDER: ('[("', '")]'),
    Shape.HEXAGON: ('{{"', '"}}'),
}
_PLAIN = re.compile(r"[^\w \-.,:/…@*+=']")


def mermaid(picture: Picture) -> str:
    """A flowchart from left to right. Mermaid has no dotted line beside its dashed one: `==>` is one."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    names = _names(picture)
    yield "flowchart LR"
    for box in picture.boxes:
        yield f'  subgraph {names[box.id]}["{_two_lines(box.title, box.detail)}"]'
        yield "    direction LR"
        for node in box.nodes:
            yield f"    {_node(node, names)}"
        yield "  end"
    for node in picture.nodes:
        yield f"  {_node(node, names)}"
    for edge in picture.edges:
        yield f"  {names[edge.tail]} {_ARROWS[edge.kind.line]} {names[edge.head]}"
    yield from _classes(picture)
    for box in picture.boxes:
        yield f"  style {names[box.id]} {_box_style(box)}"


def _node(node: Node, names: Mapping[str, str]) -> str:
    before, after = _BRACKETS[node.kind.shape]
    return f"{names[node.id]}{before}{_two_lines(node.label, node.detail)}{after}:::{_class(node)}"


def _class(node: Node) -> str:
    return "broken" if node.broken else node.kind.name


def _classes(picture: Picture) -> Iterator[str]:
    """Colours with their own text, so that they are read on light and on dark ground."""
    for kind in picture.node_kinds():
        if any(node.kind == kind and not node.broken for node in picture.all_nodes()):
            line = "stroke-dasharray:4 3" if kind.dashed else f"stroke-width:{1 if kind.one_line else 2}px"
            yield f"  classDef {kind.name} {_style(kind.fill, kind.colour)},{line}"
    if any(node.broken for node in picture.all_nodes()):
        yield f"  classDef broken {_style(ERROR_FILL, ERROR)},stroke-width:2px"


def _style(fill: Colour, line: Colour) -> str:
    return f"fill:{fill.light},stroke:{line.light},color:{TEXT.light}"


def _box_style(box: Box) -> str:
    style = _style(ERROR_FILL, ERROR) if box.broken else _style(BOX, BOX_LINE)
    return style + (",stroke-dasharray:4 3" if box.partial else "")


def _two_lines(label: str, detail: str) -> str:
    return f"<b>{_escaped(label)}</b>" + (f"<br/>{_escaped(detail)}" if detail else "")


def _escaped(words: str) -> str:
    """Replace what could be Mermaid's syntax or HTML by character codes."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(words.split()))


def _names(picture: Picture) -> dict[str, str]:
    """Words that Mermaid takes as ids, by our own ids; never one of its keywords, each once."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for own in (*(box.id for box in picture.boxes), *(node.id for node in picture.all_nodes())):
        word = re.sub(r"\W", "_", own, flags=re.ASCII)
        name, count = word, 1
        while name in taken:
            count += 1
            name = f"{word}_{count}"
        taken.add(name)
        found[own] = name
    return found
