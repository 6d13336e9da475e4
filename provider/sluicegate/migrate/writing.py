"""A pipeline as YAML that is pleasant to read: blocks, in the given order, with comments where the notes belong.

What is written comes back from the reader as the same values.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluicegate.pipeline.diagnostics import Where

__all__ = ["write"]

_WIDTH = 116
_PLAIN = re.compile(r"[A-Za-z_/.<(][^\n\r\t\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*")
_WORDS = re.compile(r"(?i:true|false|yes|no|on|off|null|nan|\.nan|[-+]?\.inf)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]+(\.[0-9]+)?([+-][0-9:]+|Z)?)?")
_DURATION = re.compile(r"([0-9]+[smhdw])+")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BLOCK = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*")


def write(value: Mapping[str, Any], comments: Mapping[Where, Sequence[str]], head: Sequence[str]) -> str:
    """`value` as a document; `comments` go above the keys at their places, `head` above everything."""
    lines = [*(line for text in head for line in _comment(text, 0))]
    lines += _Writer(comments).mapping(value, 0, ())
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, comments: Mapping[Where, Sequence[str]]) -> None:
        self.comments = comments

    def mapping(self, value: Mapping[str, Any], indent: int, way: Where) -> Iterator[str]:
        for key, item in value.items():
            here = (*way, key)
            for text in self.comments.get(here, ()):
                yield from _comment(text, indent)
            yield from self.entry(f"{' ' * indent}{_key(key)}:", item, indent, here)

    def entry(self, opening: str, item: Any, indent: int, way: Where) -> Iterator[str]:
        if isinstance(item, Mapping) and item:
            yield opening
            yield from self.mapping(item, indent + 2, way)
        elif isinstance(item, list) and item and not self.is_short(item, opening, way):
            yield opening
            yield from self.sequence(item, indent + 2, way)
        elif isinstance(item, str) and "\n" in item.rstrip("\n") and _is_block(item):
            yield f"{opening} |{'' if item.endswith(chr(10)) else '-'}"
            yield from (f"{' ' * (indent + 2)}{line}".rstrip() for line in item.rstrip("\n").split("\n"))
        else:
            yield f"{opening} {_flow(item)}"

    def sequence(self, value: Sequence[Any], indent: int, way: Where) -> Iterator[str]:
        for index, item in enumerate(value):
            here = (*way, index)
            for text in self.comments.get(here, ()):
                yield from _comment(text, indent)
            if isinstance(item, Mapping) and item:
                lines = list(self.mapping(item, indent + 2, here))
                first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
                yield from (line[2:] if number < first else line for number, line in enumerate(lines[:first]))
                yield f"{' ' * indent}- {lines[first].lstrip()}"
                yield from lines[first + 1 :]
            else:
                yield from self.entry(f"{' ' * indent}-", item, indent, here)

    def is_short(self, value: Sequence[Any], opening: str, way: Where) -> bool:
        """Whether a list fits on its line, and nothing in it needs a comment."""
        scalars = not any(isinstance(item, Mapping | list) or "\n" in str(item) for item in value)
        told = any(place[: len(way)] == way and place != way for place in self.comments)
        return scalars and not told and len(opening) + len(_flow(list(value))) < _WIDTH


def _comment(text: str, indent: int) -> Iterator[str]:
    opening = f"{' ' * indent}# "
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH - indent, break_long_words=False) or [""]:
        yield (opening + line).rstrip()


def _is_block(text: str) -> bool:
    lines = text.split("\n")
    return (
        _BLOCK.fullmatch(text) is not None
        and not text.endswith("\n\n")
        and bool(lines[0].strip())
        and not lines[0].startswith(" ")
        and all(line == line.rstrip() for line in lines)
    )


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) and not _WORDS.fullmatch(key) else _quoted(key)


def _flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(item, ",[]{}") if isinstance(item, str) else _flow(item) for item in value) + "]"
    return _scalar(value, "")


def _scalar(value: Any, special: str) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) and not any(letter in special for letter in value) else _quoted(value)
    if isinstance(value, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(str(value), repr(value))
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    if _DAY.fullmatch(text) or _DURATION.fullmatch(text):
        return True
    return (
        _PLAIN.fullmatch(text) is not None
        and text == text.strip()
        and not _WORDS.fullmatch(text)
        and not re.match(r"\.[0-9]", text)
        and not re.search(r":(\s|$)|\s#", text)
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPED)


_ESCAPED = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0xFEFF)}
