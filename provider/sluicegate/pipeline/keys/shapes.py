"""What a value of a pipeline file may look like: its JSON Schema, and the words for it in the reference.

Keywords are those that mean the same in draft-07 and in 2020-12, and nothing is beside a `$ref`. A mark in the
models has the shape of its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Schema", "Shape", "choice", "either", "exactly", "list_of", "mapping_of", "section"]

Schema = dict[str, Any]

NAME_PATTERN = "^[a-z][a-z0-9_]*$"
"""Of steps, datasets, bindings and params."""


@dataclass(frozen=True)
class Shape:
    """`words` go into the table of the reference, `schema` into the JSON Schema."""

    words: str
    schema: Schema


def section(name: str, words: str) -> Shape:
    """Keys and values, described in a section of their own."""
    return Shape(words, {"$ref": f"#/definitions/{name}"})


def either(*shapes: Shape) -> Shape:
    *most, last = dict.fromkeys(words for shape in shapes for words in re.split(", | or ", shape.words) if words)
    return Shape(
        " or ".join(filter(None, (", ".join(most), last))),
        {"anyOf": [option for shape in shapes for option in shape.schema.get("anyOf", [shape.schema])]},
    )


def list_of(shape: Shape, words: str, least: int = 0) -> Shape:
    return Shape(words, {"type": "array", "items": shape.schema, **({"minItems": least} if least else {})})


def mapping_of(shape: Shape, words: str, name: str = NAME_PATTERN, least: int = 0) -> Shape:
    """`{name: value}`; `name` is the pattern of the names, empty for any."""
    limits = {"minProperties": least} if least else {}
    names = {"propertyNames": {"pattern": name}} if name else {}
    return Shape(words, {"type": "object", **limits, **names, "additionalProperties": shape.schema})


def choice(*options: str) -> Shape:
    return Shape(", ".join(f"`{option}`" for option in options), {"anyOf": [{"enum": list(options)}, FILLED_IN.schema]})


def known_or_text(*options: str) -> Shape:
    """A text, of which an editor knows some."""
    return Shape("text", {"anyOf": [{"enum": list(options)}, NAME.schema]})


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
NOTHING = Shape("", {"type": "null"})
TEXT = Shape("text", {"type": "string"})
NAME = Shape("text", {"type": "string", "pattern": r"\S"})
"""A text that says something."""
DATASET, STEP, PATH, FILE = (Shape(words, NAME.schema) for words in ("dataset", "step", "path", "path"))
FLAG = _filled("`true` or `false`", {"type": "boolean"})
NUMBER = _filled("number", {"type": "number"})
INTEGER = _filled("whole number", {"type": "integer"})
COUNT = _filled("whole number", {"type": "integer", "minimum": 0})
POSITIVE = _filled("whole number from 1", {"type": "integer", "minimum": 1})
DURATION = _written("duration", r"^\s*([0-9]+[smhdw])+\s*$")
BYTES = Shape(
    "bytes",
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            *_written("", r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGT]i?)?B\s*$").schema["anyOf"],
        ]
    },
)
LIMIT = Shape(
    "number of records, or share",
    {"anyOf": [{"type": "integer", "minimum": 0}, *_written("", r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$").schema["anyOf"]]},
)
RATE = _written("number/duration", r"^\s*[1-9][0-9]*\s*/\s*([0-9]+[smhdw])*[smhdw]?\s*$")
INSTANT = _written("day or moment", "^[0-9]{4}")
URI = _written("URI", r"^(s3|gs|file|https?)://.*[^/\s]|^(table|iceberg)://[^/]+/[^/]+$|^\s*\{\{")
GROUP = _written("group", r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")
CRON = known_or_text("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
COLUMN_TYPE = known_or_text(
    "text", "smallint", "integer", "bigint", "numeric(12,2)", "real", "double", "boolean", "date", "time", "timestamp",
    "timestamptz", "uuid", "json", "jsonb", "varchar(10)", "char(2)",
)  # fmt: skip
BOUNDS = Shape(
    "`[low, high]`",
    {"type": "array", "items": {"type": ["number", "string", "null"]}, "minItems": 2, "maxItems": 2},
)
ANYTHING = Shape("anything", {})
FREE = Shape("keys and values", {"type": "object"})
ARGUMENTS = Shape("arguments by name", {"type": "object"})
_SCALAR = Shape("text or number", {"type": ["string", "number"]})
_PROPERTY = {"type": ["string", "number", "boolean"]}
PROPERTIES = Shape("values by name", {"type": "object", "additionalProperties": _PROPERTY})
CONFIGURATIONS = Shape(
    "properties by classification",
    {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": {"anyOf": [_PROPERTY, {"type": "object", "additionalProperties": _PROPERTY}]},
        },
    },
)
SCALARS = either(_SCALAR, list_of(_SCALAR, "list of them"))
CLUSTER = either(Shape("name", NAME.schema), section("cluster", "keys of [a cluster](#a-cluster)"))
SCHEDULE = either(
    choice("none", "once"), Shape("cron", NAME.schema), section("schedule", "keys of [schedule](#schedule)")
)
VALUE = Shape("value", {"type": ["string", "number", "boolean", "null"]})
SCOPE = mapping_of(either(VALUE, list_of(VALUE, "list of values")), "values by column", name="", least=1)
PARAM_TYPE = either(
    choice("string", "number", "integer", "boolean", "array", "object", "null"), list_of(TEXT, "list of types")
)
_AXIS_VALUE = [
    {"type": "string", "pattern": "^[a-z0-9_]+$"},
    {"type": "integer", "minimum": 0},
    {"type": "boolean"},
    FILLED_IN.schema,
]
AXES = mapping_of(
    Shape("", {"type": "array", "items": {"anyOf": _AXIS_VALUE}, "minItems": 1}), "lists of values by name", least=1
)
_EXPECTATION = {
    "type": "object",
    "propertyNames": {"pattern": "^expect_"},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {"type": ["object", "null"]},
}
CHECKS = list_of(
    Shape("expectation", {"anyOf": [{"type": "string", "pattern": "^expect_"}, _EXPECTATION]}), "list of expectations"
)
