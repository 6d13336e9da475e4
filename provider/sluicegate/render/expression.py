"""Expressions of Python as values, and how they are laid out: on one line where they fit, else one item a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Expression", "Group", "call", "laid_out", "one_line", "quoted"]

WIDTH = 120
_STEP = 4


@dataclass(frozen=True)
class Group:
    """`before`, items, `after`. An item is the text before it (`name=`, `**`, a key) and an expression."""

    before: str
    items: tuple[tuple[str, Expression], ...]
    after: str


Expression = str | Group
"""A text is one that is not broken, but may have several lines in itself."""


def one_line(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    inner = ", ".join(f"{words}{one_line(each)}" for words, each in expression.items)
    if len(expression.items) == 1 and expression.before == "(":
        inner += ","  # else it would be no tuple
    return f"{expression.before}{inner}{expression.after}"


def laid_out(expression: Expression, *, indent: int = 0, used: int = 0) -> str:
    """The text of an expression that begins `used` columns into a line which is indented by `indent`."""
    short = one_line(expression)
    if isinstance(expression, str) or not expression.items or (used + len(short) <= WIDTH and "\n" not in short):
        return short
    inner = indent + _STEP
    lines = [
        f"{' ' * inner}{words}{laid_out(each, indent=inner, used=inner + len(words) + 1)},"
        for words, each in expression.items
    ]
    return "\n".join([expression.before, *lines, " " * indent + expression.after])


def quoted(words: str) -> str:
    """A literal as a formatter would write it: in double quotes unless that needs more escapes; over lines as it is."""
    long = _over_lines(words) if "\n" in words.rstrip("\n") else None
    if long is not None:
        return long
    text = repr(words)
    if text[0] == '"' or words.count('"') > words.count("'"):
        return text
    return '"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _over_lines(words: str) -> str | None:
    """Between three double quotes, where that says the same."""
    plain = all(letter == "\n" or letter.isprintable() for letter in words)
    trailing = any(line.endswith(" ") for line in words.split("\n"))
    if not plain or trailing or "\\" in words or '"""' in words or words.startswith('"') or words.endswith('"'):
        return None
    return f'"""{words}"""'


def call(name: str, positional: Iterable[Expression], named: Iterable[tuple[str, Expression]]) -> Group:
    items = [("", each) for each in positional] + [(f"{word}=", each) for word, each in named]
    return Group(f"{name}(", tuple(items), ")")
