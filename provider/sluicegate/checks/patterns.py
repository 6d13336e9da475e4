"""Regular expressions as SQL, with the meaning that Python gives them, which is Great Expectations' own."""

from __future__ import annotations

import re

from sluicegate.checks.dialect import SEARCH, SqlDialect

__all__ = ["found", "is_plain"]

_CLASS_ITEM = r"(?:\\[dws]|\\[^A-Za-z0-9\s]|[A-Za-z0-9 !\"#$%'()*+,./:;<=>?@_`{}-])"
_PLAIN = re.compile(
    r"(?:\(\?i\))?(?:"
    rf"\[\^?{_CLASS_ITEM}+\]"
    r"|\\[dDwWsSb]|\\[^A-Za-z0-9\s]"
    r"|[A-Za-z0-9 !\"#%',/:;<=>@_`~&.^$|-]"
    r"|\((?:\?:)?(?!\?)|\)"
    r"|(?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\})\??(?![+?*{])"
    r")*"
)
"""What RE2, Java and Python read alike, as long as the text is printable ASCII. `\\B` is none of it: Python before
3.14 does not find it in an empty text.
"""


def is_plain(pattern: str) -> bool:
    """Whether all engines read `pattern` as Python does."""
    return "--" not in pattern and _PLAIN.fullmatch(pattern) is not None


def found(sql: SqlDialect, text: str, pattern: str, *, native: bool = True) -> str:
    """SQL of whether `pattern` is found in `text`.

    The engine's own expressions are many times faster, but of letters beyond ASCII and of line ends they say other
    things than Python (\\w, \\d, \\s, $, (?i)).

    :param native: whether the engine's own may be used where they mean the same.
    """
    quoted = sql.literal(pattern)
    if not native or not is_plain(pattern):
        return f"{SEARCH}({text}, {quoted})"
    printable = sql.is_printable(text)
    theirs = f"{SEARCH}(CASE WHEN {printable} THEN NULL ELSE {text} END, {quoted})"
    return f"CASE WHEN {printable} THEN {sql.matches(text, pattern)} ELSE {theirs} END"
