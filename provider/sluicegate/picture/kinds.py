"""The kinds of nodes and edges in a picture of pipelines."""

from __future__ import annotations

from sluicegate.picture.model import EdgeKind, Line, NodeKind, Shape
from sluicegate.picture.palette import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, TEAL, TEAL_FILL

__all__ = [
    "AFTER", "DATA", "FILE", "LATEST", "OTHER_DAG", "PIPELINE", "SOURCE_FILE", "SOURCE_TABLE", "STEPS", "TABLE",
    "UNREADABLE",
]  # fmt: skip

STEPS = {
    kind: NodeKind(kind, colour, kind)
    for kind, colour in {
        "load": BLUE,
        "fetch": TEAL,
        "spark": ORANGE,
        "transform": PURPLE,
        "python": GREEN,
        "operator": GREY,
    }.items()
}
"""By the name that a kind of step has in a pipeline file."""

_SOURCE = "source: no pipeline writes it"

FILE = NodeKind("file", TEAL, "files", Shape.PILL, TEAL_FILL)
TABLE = NodeKind("table", TEAL, "table", Shape.CYLINDER, TEAL_FILL)
SOURCE_FILE = NodeKind("source_file", TEAL, _SOURCE, Shape.PILL, TEAL_FILL, dashed=True)
SOURCE_TABLE = NodeKind("source_table", TEAL, _SOURCE, Shape.CYLINDER, TEAL_FILL, dashed=True)
PIPELINE = NodeKind("pipeline", BLUE)
OTHER_DAG = NodeKind("other_dag", AMBER, "DAG that is not a pipeline", Shape.HEXAGON)
UNREADABLE = NodeKind("unreadable", RED)

DATA = EdgeKind("data", Line.SOLID, "data, window by window")
LATEST = EdgeKind("latest", Line.DASHED, "the latest data")
AFTER = EdgeKind("after", Line.DOTTED, "an order that the file gives")
