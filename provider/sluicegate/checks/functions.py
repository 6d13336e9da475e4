"""What SQL asks of Python, because only Python says what it means: regular expressions, JSON, dates.

A Spark job gets these functions by their source: each imports what it needs, and nothing of ours.
"""

from __future__ import annotations

__all__ = ["parses", "search"]


def search(text: str, pattern: str) -> bool | None:
    """Python's own `re.search`, which is what a regular expression means to Great Expectations. `SEARCH` in SQL."""
    import re

    return None if text is None else re.search(pattern, text) is not None


def parses(text: str, how: str, layout: str) -> bool | None:
    """Whether Great Expectations can read a text. `PARSES` in SQL.

    :param how: `json`, `strftime` (with its `layout`) or `dateutil`.
    """
    import json
    from datetime import datetime

    if text is None:
        return None
    try:
        if how == "json":
            json.loads(text)
        elif how == "strftime":
            datetime.strptime(text, layout)  # noqa: DTZ007 - only whether it can be read is asked
        else:
            from dateutil.parser import parse

            parse(text)
    except (ValueError, OverflowError, RecursionError):
        return False
    return True
