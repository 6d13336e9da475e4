"""The colours of a picture: each as it is on light ground and on dark."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AMBER", "BLUE", "BOX", "BOX_LINE", "EDGE", "ERROR", "ERROR_FILL", "GREEN", "GREY", "MUTED", "NODE", "ORANGE",
    "PAPER", "PURPLE", "RED", "TEAL", "TEAL_FILL", "TEXT", "Colour",
]  # fmt: skip


class Colour(NamedTuple):
    light: str
    dark: str


PAPER = Colour("#ffffff", "#0d1117")
BOX = Colour("#f6f8fa", "#151b23")
BOX_LINE = Colour("#d1d9e0", "#3d444d")
NODE = Colour("#ffffff", "#212830")
TEXT = Colour("#1f2328", "#f0f6fc")
MUTED = Colour("#59636e", "#9198a1")
EDGE = Colour("#818b98", "#7d8590")
ERROR = Colour("#cf222e", "#f85149")
ERROR_FILL = Colour("#fff1f0", "#2d1517")

# For kinds of nodes.
BLUE = Colour("#0969da", "#4493f8")
ORANGE = Colour("#d4620a", "#f0883e")
PURPLE = Colour("#8250df", "#ab7df8")
GREEN = Colour("#1a7f37", "#3fb950")
GREY = MUTED
AMBER = Colour("#9a6700", "#d29922")
RED = ERROR
TEAL = Colour("#74a9a6", "#4b8582")
TEAL_FILL = Colour("#e8f4f4", "#12292b")
