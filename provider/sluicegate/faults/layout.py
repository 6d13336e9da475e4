"""How the report of a fault is set: in lines that Airflow's log view shows whole. It has no words of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

__all__ = ["FIRST", "WIDTH", "block"]

WIDTH = 110
"""Columns. Airflow's log does not wrap, and shows 117 of them in a window of 1280 pixels."""

FIRST = 80
"""Of the first line, which follows the time and the level."""

_LABEL = 15
_INDENT = 2


def block(title: str, entries: Iterable[tuple[str, str]]) -> str:
    """`title` and below it the entries, each a label and a text, whose line breaks stay; empty ones are left out."""
    lines = list(_wrapped(title, first=FIRST, rest=WIDTH - _INDENT, indent=_INDENT))
    for label, text in entries:
        label = f"{label}:".ljust(_LABEL)
        room = WIDTH - _INDENT - _LABEL
        for line in text.splitlines():
            depth = len(line) - len(line.lstrip())
            for piece in _wrapped(line.strip(), first=room - depth, rest=room - depth, indent=0):
                lines.append(f"{'':{_INDENT}}{label}{'':{depth}}{piece}".rstrip())
                label = " " * _LABEL
    return "\n".join(lines)


def _wrapped(text: str, *, first: int, rest: int, indent: int) -> Iterator[str]:
    """`text` in lines; only what has no blank may be longer, such as an address, which is still to be copied."""
    missing = rest - first
    wrapper = textwrap.TextWrapper(
        width=rest,
        initial_indent=" " * max(0, missing),
        break_long_words=False,
        break_on_hyphens=False,
    )
    found = wrapper.wrap(" ".join(_breakable(word, rest) for word in text.split(" ")))
    for number, line in enumerate(found):
        yield line[max(0, missing) :] if number == 0 else " " * indent + line


def _breakable(word: str, width: int) -> str:
    """A word that is longer than a line in pieces, unless it is an address."""
    if len(word) <= width or "://" in word or word.startswith("/"):
        return word
    return " ".join(word[at : at + width] for at in range(0, len(word), width))
