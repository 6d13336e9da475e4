"""What is wrong in a pipeline file: a diagnostic with its place, and the one place where diagnostics are drawn.

Reading collects diagnostics and raises them together, as `PipelineErrors`, whose text is the whole drawing.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = [
    "BUG", "Diagnostic", "PipelineErrors", "Place", "Severity", "Where", "bug", "bug_message", "did_you_mean", "dotted",
    "draw", "hint", "in_order", "independent",
]  # fmt: skip

log = logging.getLogger(__name__)

Severity = Literal["error", "warning"]
Where = tuple[str | int, ...]
"""A path inside a file: `("steps", "join", "after", 0)`."""

BUG = "internal"
"""The code of a diagnostic that is about us and not about the file."""

_WIDEST = 160


class Place(NamedTuple):
    """Line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong at one place. `line` and `column` count from 1, `source` is the line's text."""

    code: str
    message: str
    file: Path
    line: int = 1
    column: int = 1
    where: str = ""
    suggestion: str | None = None
    """What was probably meant, to replace what is there."""
    source: str = ""
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        return draw(self)


class PipelineErrors(Exception):  # noqa: N818 - it carries all of them
    """All diagnostics of a file (or of several), errors and warnings, in the order of their places."""

    def __init__(self, diagnostics: Iterable[Diagnostic], base: Path | None = None) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = in_order(diagnostics)
        self.base = base
        super().__init__(self.diagnostics, base)

    def __str__(self) -> str:
        return "\n\n".join(draw(diagnostic, self.base) for diagnostic in self.diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each diagnostic once, by file, line and column."""
    return tuple(sorted(dict.fromkeys(diagnostics), key=lambda m: (str(m.file), m.line, m.column)))


def independent(found: Iterable[Diagnostic], known: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those of `found` that are not about a value in which one of `known` has an error already."""
    wrong = {(diagnostic.file, diagnostic.where) for diagnostic in known if diagnostic.is_error}
    return tuple(diagnostic for diagnostic in found if (diagnostic.file, diagnostic.where) not in wrong)


def bug(error: Exception, doing: str, file: Path) -> Diagnostic:
    """The diagnostic of a file at which we fail ourselves: others are judged as if nothing had happened."""
    return Diagnostic(BUG, bug_message(error, doing, file), file)


def bug_message(error: Exception, doing: str, file: Path) -> str:
    """Where in our code it happened and what to report; the traceback goes to the log.

    :param doing: what was done with the file: `reading`
    """
    log.error("A bug of ours, while %s %s", doing, file, exc_info=error)
    frames = list(traceback.extract_tb(error.__traceback__))
    ours = [frame for frame in frames if "sluicegate" in Path(frame.filename).parts]
    place = ""
    for frame in (ours or frames)[-1:]:
        way = Path(frame.filename).parts
        shown = "/".join(way[way.index("sluicegate") if "sluicegate" in way else -1 :])
        place = f" at {shown}:{frame.lineno} in `{frame.name}`"
    return (
        f"a bug of ours while {doing} this file: {type(error).__name__}: {error}{place}; other files are judged as "
        "usual. Please report this line together with the file and the traceback in the log"
    )


def draw(diagnostic: Diagnostic, base: Path | None = None) -> str:
    """`file:line:column: error[code]: message`, the line, a caret, and what was probably meant.

    :param base: files below this folder are shown relative to it.
    """
    file = diagnostic.file
    if base is not None and file.is_relative_to(base):
        file = file.relative_to(base)
    place = f"{file}:{diagnostic.line}:{diagnostic.column}"
    lines = [f"{place}: {diagnostic.severity}[{diagnostic.code}]: {_harmless(diagnostic.message)}"]
    if diagnostic.source.strip():
        text, column = _cropped(diagnostic.source, diagnostic.column)
        gutter = " " * len(str(diagnostic.line))
        # Tabs stay tabs, so that the caret is right whatever a tab's width is.
        blank = "".join("\t" if letter == "\t" else " " for letter in text[: column - 1])
        lines += [f" {diagnostic.line} | {text}", f" {gutter} | {blank}^"]
    if diagnostic.suggestion is not None:
        lines.append(f"   did you mean `{_harmless(diagnostic.suggestion)}`?")
    return "\n".join(lines)


def _cropped(source: str, column: int) -> tuple[str, int]:
    """A line that fits a terminal and cannot steer it, and the column in it."""
    text = _harmless(source)
    first = max(0, column - 1 - _WIDEST // 2) if len(text) > _WIDEST else 0
    return text[first : first + _WIDEST].rstrip(), column - first


def _harmless(text: str) -> str:
    """Without what would steer a terminal: a key or a value may hold any character, and a message names it."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def did_you_mean(word: object, options: Iterable[str]) -> str | None:
    """The option that `word` was probably meant to be, in whichever case it is written, or None.

    It resembles the word, or is the only one that goes on after it: `min` for `min_value`.
    """
    if not isinstance(word, str):
        return None
    import difflib  # a task that starts has nothing to suggest

    folded: dict[str, str] = {}
    for option in sorted(set(options)):
        folded.setdefault(option.casefold(), option)
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    longer = [option for option in folded if option.startswith(f"{word.casefold()}_")]
    near = close or (longer if len(longer) == 1 else [])
    return folded[near[0]] if near else None


def hint(word: object, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the end of a message, or nothing: see `did_you_mean`."""
    meant = did_you_mean(word, options)
    return f"; did you mean {meant!r}?" if meant else ""


def dotted(where: Where) -> str:
    """`steps.join.after.0`."""
    return ".".join(str(part) for part in where)
