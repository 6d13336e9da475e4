"""An answer of an API as records: JSON whose numbers stay as they are written. Pure."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NotRecordsError", "as_written", "line_of", "parse", "pick", "records_of", "text_of"]

_NUMBER = f"\ue000{secrets.token_hex(8)}:"
"""Before the text of a number that a double might not give back: no answer can know it."""
_RAW = re.compile(f'"{_NUMBER}([^"]*)"')
_SHOWN = 12


class NotRecordsError(Exception):
    """The answer has no list of records where it should be."""


def text_of(content: bytes, charset: str | None) -> str:
    """The text of an answer: in the charset that it says, else in UTF-8, or whatever else of Unicode it begins as.

    :raises ValueError: when it is not; nothing is replaced.
    """
    try:
        # Of a byte order mark, `detect_encoding` says that it is one.
        found = json.detect_encoding(content)
        return content.decode(charset if charset and found == "utf-8" else found)
    except LookupError as error:
        raise ValueError(f"its charset, {charset}, is unknown") from error


def parse(text: str) -> Any:
    """The value of a JSON text; numbers with a fraction or an exponent are kept as texts that `line_of` writes back.

    :raises ValueError: when it is not JSON, or an object in it has a key twice.
    """
    return json.loads(text, parse_float=lambda number: _NUMBER + number, object_pairs_hook=_object)


def as_written(value: Any) -> Any:
    """A value that `parse` has made, a number with a fraction as the text that it came as."""
    return value.removeprefix(_NUMBER) if isinstance(value, str) else value


def line_of(record: Any) -> str:
    """A record on one line, with all numbers as they came."""
    return _RAW.sub(r"\1", json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def records_of(body: Any, path: str | None) -> Sequence[Any]:
    """The records of a page.

    :raises NotRecordsError: when they are not where `path` says, or are not objects.
    """
    found = body if path is None else pick(body, path)
    if found is None and path is not None:
        raise NotRecordsError(f"there is nothing at `records: {path}`; {_shape(body)}")
    if not isinstance(found, list):
        hint = "say by `records` where in it the list is" if path is None else f"`records: {path}` is not a list"
        raise NotRecordsError(f"{hint}; {_shape(body)}")
    if strange := [each for each in found if not isinstance(each, dict)]:
        raise NotRecordsError(f"a record is not an object but a {type(strange[0]).__name__}")
    return found


def pick(body: Any, path: str) -> Any:
    """What is at `data.items` or `items.0` in `body`; None where there is nothing."""
    for name in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(name)
        elif isinstance(body, list) and name.isdigit() and int(name) < len(body):
            body = body[int(name)]
        else:
            return None
    return body


def _shape(body: Any) -> str:
    if isinstance(body, dict):
        keys = ", ".join(list(body)[:_SHOWN])
        return f"it is an object with {keys or 'no keys'}"
    return f"it is a {type(body).__name__}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key in made if sum(name == key for name, _ in pairs) > 1)
        raise ValueError(f"an object has the key {twice!r} twice")
    return made
