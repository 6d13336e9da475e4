"""The JSON Schema of a pipeline file and of `defaults.yaml`, for editors.

It is draft-07, which is what yaml-language-server (VS Code, Neovim, Helix, IntelliJ's is alike) understands best;
of 2020-12 it knows a part. No keyword is used that means something else in 2020-12.

It takes all that the reader takes, and more: what needs the whole file, its neighbours or its code, is for
`sluicegate check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluicegate.pipeline.keys.shapes import Schema
from sluicegate.pipeline.keys.table import UNSAID, Section, Table, Word, table

__all__ = ["DRAFT", "defaults_schema", "pipeline_schema"]

DRAFT = "http://json-schema.org/draft-07/schema#"
_FILLED_IN = {
    "title": "filled in when the file is read",
    "type": "string",
    "pattern": r"\$\{env:|\{\{-?\s*matrix\.",
}


def pipeline_schema(keys: Table | None = None) -> Schema:
    """The schema of a pipeline file."""
    keys = keys or table()
    return _root(keys, keys.pipeline.words, "A pipeline of Sluicegate", required=True)


def defaults_schema(keys: Table | None = None) -> Schema:
    """The schema of `defaults.yaml`: what pipelines share, what is allowed there only, and nothing required."""
    keys = keys or table()
    shared = {key: word for key, word in keys.pipeline.words.items() if word.shared}
    return _root(keys, {**shared, **keys.defaults.words}, "Defaults of Sluicegate's pipelines", required=False)


def _root(keys: Table, words: Mapping[str, Word], title: str, *, required: bool) -> Schema:
    return {"$schema": DRAFT, "title": title, **_closed(words, required=required), "definitions": _definitions(keys)}


def _definitions(keys: Table) -> dict[str, Schema]:
    kinds = {f"{kind}_step": _step(section, keys.any_step) for kind, section in keys.kinds.items()}
    one_kind = {"title": "a step", "oneOf": [{"$ref": f"#/definitions/{name}"} for name in kinds]}
    shared = {f"any_step_{key}": _property(word) for key, word in keys.any_step.words.items()}
    plain = {name: {"title": section.title, **_section(section)} for name, section in keys.parts.items()}
    return {"step": one_kind, **kinds, **shared, **plain, "filled_in": _FILLED_IN}


def _step(section: Section, any_step: Section) -> Schema:
    own = _closed(section.words, required=True)
    shared = {key: {"$ref": f"#/definitions/any_step_{key}"} for key in any_step.words}
    title = f"{'an' if section.title[0] in 'aeiou' else 'a'} {section.title} step"
    return {"title": title, "description": section.intro, **own, "properties": {**own["properties"], **shared}}


def _section(section: Section) -> Schema:
    schema = _closed(section.words, required=True)
    return {"description": section.intro, **schema, "additionalProperties": section.more is not None}


def _closed(words: Mapping[str, Word], *, required: bool) -> Schema:
    needed = [key for key, word in words.items() if word.required] if required else []
    return {
        "type": "object",
        "properties": {key: _property(word) for key, word in words.items()},
        **({"required": needed} if needed else {}),
        "additionalProperties": False,
    }


def _property(word: Word) -> Schema:
    schema = _with_nothing(word.shape.schema) if word.empty else word.shape.schema
    if "$ref" in schema:
        # In draft-07 nothing beside a `$ref` counts.
        schema = {"allOf": [schema]}
    facts: dict[str, Any] = {"description": word.meaning}
    if word.default is not UNSAID:
        facts["default"] = word.default
    if word.examples:
        facts["examples"] = list(word.examples)
    return {**facts, **schema}


def _with_nothing(schema: Schema) -> Schema:
    """Also takes a key without a value."""
    if not schema:
        return schema
    nothing = {"type": "null"}
    if "anyOf" in schema:
        return schema if nothing in schema["anyOf"] else {"anyOf": [*schema["anyOf"], nothing]}
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, nothing]}
