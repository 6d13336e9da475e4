"""A picture as Mermaid's text, which many pages (GitHub's, GitLab's) draw by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.picture.model import Box, EdgeKind, Node, NodeKind, Picture
from sluicegate.picture.palette import LIGHT

__all__ = ["mermaid"]

_ARROWS = {EdgeKind.DATA: "-->", EdgeKind.LATEST: "-.->", EdgeKind.AFTER: "==>"}
_BRACKETS = {
    NodeKind.FILE: ('(["', '"])'),
    NodeKind.TABLE: ('[("', '")]'),
    NodeKind.OTHER_DAG: ('{{"', '"}}'),
}
_PLAIN = re.compile(r"[^\w \-.,:/…@*+=']")


def mermaid(picture: Picture) -> str:
    """A flowchart from left to right. `==>` is an order that no data says, `-.->` reads the latest."""
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
        yield f"  {names[edge.tail]} {_ARROWS[edge.kind]} {names[edge.head]}"
    yield from _classes(picture)
    for box in picture.boxes:
        yield f"  style {names[box.id]} {_box_style(box)}"


def _node(node: Node, names: Mapping[str, str]) -> str:
    before, after = _BRACKETS.get(node.kind, ('["', '"]'))
    return f"{names[node.id]}{before}{_two_lines(node.label, node.detail)}{after}:::{_class(node)}"


def _class(node: Node) -> str:
    if node.broken:
        return "broken"
    dataset = node.kind in (NodeKind.FILE, NodeKind.TABLE)
    return ("source" if node.source else "dataset") if dataset else node.kind


def _classes(picture: Picture) -> Iterator[str]:
    """What is used, and no more. Colours with their own text, so that they are read on light and on dark ground."""
    used = {_class(node) for node in picture.all_nodes()}
    lines = {
        "dataset": f"fill:{LIGHT.dataset},stroke:{LIGHT.dataset_line}",
        "source": f"fill:{LIGHT.dataset},stroke:{LIGHT.dataset_line},stroke-dasharray:4 3",
        "broken": f"fill:{LIGHT.error_fill},stroke:{LIGHT.error},stroke-width:2px",
    } | {str(kind): f"fill:{LIGHT.node},stroke:{colour},stroke-width:2px" for kind, colour in LIGHT.accents.items()}
    for name, style in lines.items():
        if name in used:
            yield f"  classDef {name} {style},color:{LIGHT.text}"


def _box_style(box: Box) -> str:
    line, fill = (LIGHT.error, LIGHT.error_fill) if box.broken else (LIGHT.box_line, LIGHT.box)
    return f"fill:{fill},stroke:{line},color:{LIGHT.text}" + (",stroke-dasharray:4 3" if box.partial else "")


def _two_lines(label: str, detail: str) -> str:
    return f"<b>{_escaped(label)}</b>" + (f"<br/>{_escaped(detail)}" if detail else "")


def _escaped(words: str) -> str:
    """Whatever could be Mermaid's syntax or HTML becomes its character code."""
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
