"""The colours of a picture, on light and on dark ground."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.picture.model import NodeKind

__all__ = ["DARK", "LIGHT", "Palette"]


@dataclass(frozen=True)
class Palette:
    paper: str
    box: str
    box_line: str
    node: str
    text: str
    muted: str
    edge: str
    error: str
    error_fill: str
    dataset: str
    dataset_line: str
    accents: dict[NodeKind, str]
    """Of what is no dataset."""


LIGHT = Palette(
    paper="#ffffff",
    box="#f6f8fa",
    box_line="#d1d9e0",
    node="#ffffff",
    text="#1f2328",
    muted="#59636e",
    edge="#818b98",
    error="#cf222e",
    error_fill="#fff1f0",
    dataset="#e8f4f4",
    dataset_line="#74a9a6",
    accents={
        NodeKind.LOAD: "#0969da",
        NodeKind.SPARK: "#d4620a",
        NodeKind.TRANSFORM: "#8250df",
        NodeKind.PYTHON: "#1a7f37",
        NodeKind.OPERATOR: "#59636e",
        NodeKind.PIPELINE: "#0969da",
        NodeKind.OTHER_DAG: "#9a6700",
        NodeKind.UNREADABLE: "#cf222e",
    },
)

DARK = Palette(
    paper="#0d1117",
    box="#151b23",
    box_line="#3d444d",
    node="#212830",
    text="#f0f6fc",
    muted="#9198a1",
    edge="#7d8590",
    error="#f85149",
    error_fill="#2d1517",
    dataset="#12292b",
    dataset_line="#4b8582",
    accents={
        NodeKind.LOAD: "#4493f8",
        NodeKind.SPARK: "#f0883e",
        NodeKind.TRANSFORM: "#ab7df8",
        NodeKind.PYTHON: "#3fb950",
        NodeKind.OPERATOR: "#9198a1",
        NodeKind.PIPELINE: "#4493f8",
        NodeKind.OTHER_DAG: "#d29922",
        NodeKind.UNREADABLE: "#f85149",
    },
)
