"""What libyaml objects to, in our words and at the place of the cause, which is often before it was noticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from yaml._yaml import CParser
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.tokens import (
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    ScalarToken,
    Token,
)

from sluicegate.pipeline.diagnostics import Place

__all__ = ["explain"]

_NO_KEY = "not a key: expected a `:` and a blank after it"
_ONE_DOCUMENT = "one file is one document: nothing can follow a `---` or `...`"
_SAYINGS = (
    ("could not find expected ':'", _NO_KEY, True),
    ("scanning an anchor", "a value that begins with `&` has to be quoted", True),
    ("scanning an alias", "a value that begins with `*` has to be quoted", True),
    ("block sequence entries", "a list begins on a line of its own", False),
    ("scanning a block scalar", "nothing can follow `|` or `>` on their line", False),
    ("another document", _ONE_DOCUMENT, False),
    ("<document start>", _ONE_DOCUMENT, False),
)
"""Words of libyaml, ours, and whether the cause is where it began what it was doing."""
_AFTER_A_QUOTE = " \t\r\n,]}:"  # or nothing at all


def explain(error: MarkedYAMLError, text: str, lines: Sequence[str]) -> tuple[str, Place]:
    """What is wrong in `text`, and where. `lines` are its lines."""
    said = " ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    noticed = _place(mark) if mark is not None else Place(1, 1)
    cause = _place(error.context_mark) if error.context_mark is not None else noticed
    if "quoted scalar found unexpected end" in said:
        return "this quote is never closed", cause
    if quote := _swallowing_quote(text, noticed.line):
        opens, closes = quote
        where = f"on line {closes.line}" if closes.line > opens.line else f"in column {closes.column}"
        return f"this quote is closed only {where}: is one missing before?", opens
    for words, message, at_cause in _SAYINGS:
        if words in said:
            return message, cause if at_cause else noticed
    line = lines[noticed.line - 1] if noticed.line <= len(lines) else ""
    before, letter = line[: noticed.column - 1], line[noticed.column - 1 : noticed.column]
    if "parsing a flow" in said:
        return _in_brackets(said, text, letter, cause, noticed)
    if "cannot start any token" in said:
        quoted = f"a value that begins with `{letter}` has to be quoted"
        return "a tab cannot indent: use spaces" if letter == "\t" else quoted, noticed
    if "mapping values are not allowed" in said:
        return _colon(lines, noticed)
    if "did not find expected key" in said or "expected '-'" in said:
        return _left_over(before, letter), noticed
    return said, noticed


def _place(mark: Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _in_brackets(said: str, text: str, letter: str, cause: Place, noticed: Place) -> tuple[str, Place]:
    if letter == "{":
        return "inside `{}` and `[]` a value with a `{` in it has to be quoted", noticed
    if letter == ":" and cause.line == noticed.line:
        return "a `,` is missing before this key", noticed
    bracket = "[" if "sequence" in said else "{"
    if "flow node" in said:
        opened = _open_brackets(text)
        if letter or not opened:
            return "a value is missing before this", noticed
        bracket, cause = opened[-1]
    return f"this `{bracket}` is not closed, or a `,` is missing before line {noticed.line}", cause


def _open_brackets(text: str) -> list[tuple[str, Place]]:
    """The brackets that are open where the text ends, the innermost last."""
    found: list[tuple[str, Place]] = []
    for token in _tokens(text):
        if isinstance(token, FlowSequenceStartToken | FlowMappingStartToken):
            found.append(("[" if isinstance(token, FlowSequenceStartToken) else "{", _place(token.start_mark)))
        elif isinstance(token, FlowSequenceEndToken | FlowMappingEndToken) and found:
            found.pop()
    return found


def _left_over(before: str, letter: str) -> str:
    """What is wrong where a key was expected."""
    if letter in ("]", "}"):
        return f"this `{letter}` closes nothing"
    if before.strip():
        return "nothing can follow the value: quote all of it, or remove this"
    return "this does not fit what is above it: fix the indentation"


def _colon(lines: Sequence[str], noticed: Place) -> tuple[str, Place]:
    """A `:` that cannot be where it was noticed: perhaps one is missing on the line before."""
    above = next((number for number in range(noticed.line - 1, 0, -1) if lines[number - 1].strip()), None)
    first = not lines[noticed.line - 1][: noticed.column - 1].count(":")
    if above is not None and first:
        words = lines[above - 1].partition(" #")[0].strip()
        if ":" not in words and words[:1] not in ("", "#", "-", "'", '"'):
            column = len(lines[above - 1]) - len(lines[above - 1].lstrip()) + 1
            return _NO_KEY, Place(above, column)
    return "unexpected `:`: quote the value, or fix the indentation", noticed


def _swallowing_quote(text: str, line: int) -> tuple[Place, Place] | None:
    """The first quote that ends on `line` and was most likely meant to end before, and where it ends.

    Either it runs over several lines, or something follows it where nothing can.
    """
    for token in _tokens(text):
        start, end = token.start_mark, token.end_mark
        quoted = isinstance(token, ScalarToken) and token.style in ("'", '"')
        if not quoted or end.line != line - 1:
            continue
        if start.line < end.line or text[end.index : end.index + 1] not in _AFTER_A_QUOTE:
            return _place(start), Place(end.line + 1, end.column)
    return None


def _tokens(text: str) -> Iterator[Token]:
    """As far as the scanner comes."""
    parser = CParser(text)
    try:
        while (token := parser.get_token()) is not None:
            yield token
    except YAMLError:
        return
