"""A picture as PNG: its SVG drawn by resvg, with a font that is the same everywhere."""

from __future__ import annotations

from pathlib import Path

from sluicegate.picture.model import Picture
from sluicegate.picture.svg import drawn

__all__ = ["png"]

_FONTS = Path(__file__).parent / "fonts"
_ZOOM = 2.0
_LARGEST = 16_000
"""Pixels on a side: what browsers and viewers still show."""


def png(picture: Picture) -> bytes:
    """Twice as large as the SVG, unless that would be too large to be looked at.

    :raises ModuleNotFoundError: when the extra `graph` is not installed
    """
    import resvg_py

    text, width, height = drawn(picture)
    zoom = min(_ZOOM, _LARGEST / max(width, height))
    fonts = [str(file) for file in sorted(_FONTS.glob("*.ttf"))]
    return bytes(resvg_py.svg_to_bytes(svg_string=text, zoom=zoom, font_files=fonts))
