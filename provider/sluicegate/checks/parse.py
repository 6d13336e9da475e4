"""Whether a text can be read as JSON, as a date in a format, or as any date: as Great Expectations reads it."""

from __future__ import annotations

import json
from datetime import datetime

__all__ = ["parses"]


def parses(text: str, how: str, layout: str) -> bool:
    """`PARSES` in SQL.

    :param how: `json`, `strftime` (with its `layout`) or `dateutil`.
    """
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
