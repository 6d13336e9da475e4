"""How wide text is and how large that makes a node. In points; the widths are those of Arimo, as of Arial."""

from __future__ import annotations

from sluicegate.picture.model import Node, Shape

__all__ = ["DETAIL", "LABEL", "SUBTITLE", "TITLE", "size_of", "visible", "width_of"]

TITLE, SUBTITLE, LABEL, DETAIL = 14.0, 10.5, 12.0, 9.5
"""Sizes of type: of a box's two lines, and of a node's."""

_REGULAR = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278"
    " 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944"
    " 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500"
    " 278 556 500 722 500 500 500 334 260 334 584"
)
"""Thousandths of the size, from the blank to the tilde."""

_WIDTHS = tuple(int(width) / 1000 for width in _REGULAR.split())
_OTHER, _WIDE, _BOLD = 0.62, 1.0, 1.08

_HEIGHTS = {Shape.PILL: 26.0, Shape.CYLINDER: 34.0}
_PADDING = {Shape.BOX: 30.0, Shape.PILL: 28.0, Shape.CYLINDER: 26.0, Shape.HEXAGON: 38.0}
_HIGH, _NARROWEST = 40.0, 60.0
_SAMPLE = 26.0
_SAMPLE_HEIGHTS = {Shape.CYLINDER: 18.0}


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """The width of one line of type; of letters that are not ASCII, about."""
    widths = (_WIDTHS[ord(letter) - 32] if " " <= letter <= "~" else _other(letter) for letter in words)
    return sum(widths) * size * (_BOLD if bold else 1)


def visible(words: str) -> str:
    """The words without letters that steer a terminal or that XML does not have."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in words
    )


def _other(letter: str) -> float:
    return _WIDE if letter >= "\u2e80" else _OTHER


def size_of(node: Node) -> tuple[float, float]:
    """Width and height; one without a label is a sample for a legend."""
    if not node.label:
        return _SAMPLE, _SAMPLE_HEIGHTS.get(node.kind.shape, 14.0)
    padding = _PADDING[node.kind.shape]
    if node.kind.one_line:
        return max(_NARROWEST, width_of(node.label, LABEL) + padding), _HEIGHTS[node.kind.shape]
    words = max(width_of(node.label, LABEL, bold=True), width_of(node.detail, DETAIL))
    return max(_NARROWEST, words + padding), _HIGH
