"""What a value of a pipeline file may look like: its JSON Schema, and the words for it in the reference.

Keywords are those that mean the same in draft-07 and in 2020-12, and nothing stands beside a `$ref`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "ANYTHING", "ARGUMENTS", "AXIS", "CHECK", "COUNT", "DURATION", "FILLED_IN", "FLAG", "FREE", "GROUP", "INSTANT",
    "LIMIT", "NAME", "POSITIVE", "SCALAR", "TEXT", "TEXTS", "URI", "WORDS", "Schema", "Shape", "choice", "either",
    "exactly", "known_or_text", "list_of", "mapping_of", "section",
]  # fmt: skip

Schema = dict[str, Any]

NAME = "^[a-z][a-z0-9_]*$"
"""Of steps, datasets, bindings and params."""
_SOME_TEXT = r"\S"


@dataclass(frozen=True)
class Shape:
    """`words` stand in the table of the reference, `schema` in the JSON Schema."""

    words: str
    schema: Schema


def section(name: str, words: str) -> Shape:
    """Keys and values, described in a section of their own."""
    return Shape(words, {"$ref": f"#/definitions/{name}"})


def either(*shapes: Shape) -> Shape:
    *most, last = dict.fromkeys(shape.words for shape in shapes)
    return Shape(
        " or ".join(filter(None, (", ".join(most), last))),
        {"anyOf": [option for shape in shapes for option in shape.schema.get("anyOf", [shape.schema])]},
    )


def list_of(shape: Shape, words: str, least: int = 0) -> Shape:
    return Shape(words, {"type": "array", "items": shape.schema, **({"minItems": least} if least else {})})


def mapping_of(shape: Shape, words: str, name: str = NAME, least: int = 0) -> Shape:
    """`{name: value}`; `name` is the pattern of the names, empty for any."""
    limits = {"minProperties": least} if least else {}
    names = {"propertyNames": {"pattern": name}} if name else {}
    return Shape(words, {"type": "object", **limits, **names, "additionalProperties": shape.schema})


def choice(*options: str) -> Shape:
    return Shape(", ".join(f"`{option}`" for option in options), {"anyOf": [{"enum": list(options)}, FILLED_IN.schema]})


def known_or_text(*options: str) -> Shape:
    """A text, of which an editor knows some."""
    return Shape("text", {"anyOf": [{"enum": list(options)}, WORDS.schema]})


def exactly(value: int | str) -> Shape:
    return Shape(f"`{value}`", {"const": value})


def _filled(words: str, schema: Schema) -> Shape:
    """A value that may be filled in when the file is read, and is judged afterwards then."""
    return Shape(words, {"anyOf": [schema, FILLED_IN.schema]})


def _written(words: str, pattern: str) -> Shape:
    """A text of a small language."""
    return _filled(words, {"type": "string", "pattern": pattern})


FILLED_IN = Shape("text", {"$ref": "#/definitions/filled_in"})
"""A text that is something else once `${env:NAME}` and `{{ matrix.name }}` are replaced."""
TEXT = Shape("text", {"type": "string"})
WORDS = Shape("text", {"type": "string", "pattern": _SOME_TEXT})
"""A text that says something."""
TEXTS = list_of(TEXT, "list of texts")
SCALAR = Shape("text or number", {"type": ["string", "number"]})
FLAG = _filled("`true` or `false`", {"type": "boolean"})
COUNT = _filled("whole number", {"type": "integer", "minimum": 0})
POSITIVE = _filled("whole number from 1", {"type": "integer", "minimum": 1})
DURATION = _written("duration", r"^\s*([0-9]+[smhdw])+\s*$")
LIMIT = Shape(
    "number of records, or share",
    {"anyOf": [{"type": "integer", "minimum": 0}, *_written("", r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$").schema["anyOf"]]},
)
INSTANT = _written("day or moment", "^[0-9]{4}")
URI = _written("URI", r"^(s3|gs|file|https)://.*[^/\s]|^table://[^/]+/[^/]+$|^\s*\{\{")
GROUP = _written("group", r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")
AXIS = Shape(
    "list of values",
    {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string", "pattern": "^[a-z0-9_]+$"},
                {"type": "integer", "minimum": 0},
                {"type": "boolean"},
                FILLED_IN.schema,
            ]
        },
        "minItems": 1,
    },
)
ANYTHING = Shape("anything", {})
FREE = Shape("keys and values", {"type": "object"})
ARGUMENTS = Shape("arguments by name", {"type": "object"})
CHECK = Shape(
    "expectation, or `{expectation: arguments}`",
    {
        "anyOf": [
            {"type": "string", "pattern": "^expect_"},
            {
                "type": "object",
                "propertyNames": {"pattern": "^expect_"},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": {"type": ["object", "null"]},
            },
        ]
    },
)
