"""The page of reference of a pipeline file, `docs/yaml.md`, out of the same words as the JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sluicegate.pipeline.keys.table import UNSAID, Section, Table, Word, table

__all__ = ["reference_page"]

_HEAD = """\
# The pipeline file

Every key there is. This page is made by `sluicegate schema --markdown`, out of the same words as the
[JSON Schema](pipeline.schema.json); [Author guide](author.md) explains them. A key in **bold** has to be
there. Durations are `30s`, `15m`, `6h`, `7d`, `2w`, `1h30m`; shares `5%`.
"""


def reference_page(keys: Table | None = None) -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(part for each in (keys or table()).sections for part in _section(each))])


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    yield f"{section.intro}\n"
    yield "| key | type | default | | for instance |\n|---|---|---|---|---|"
    for key, word in section.words.items():
        yield _row(key, word)
    if section.more is not None:
        yield f"| | {section.more} | | | |"
    yield ""


def _row(key: str, word: Word) -> str:
    name = f"**`{key}`**" if word.required else f"`{key}`"
    default = word.usual or ("" if word.default is UNSAID else _code(word.default))
    examples = "<br>".join(_code(example) for example in word.examples)
    cells = (name, word.shape.words, default, word.meaning, examples)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(value: Any) -> str:
    return f"`{_flow(value)}`"


def _flow(value: Any, *, inside: bool = False) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item, inside=True)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, inside=True) for item in value) + "]"
    if isinstance(value, str):
        special = ",[]{}" if inside else ""
        quoted = not value or value[0] in "@\"'{[*&!|>%`-#," or ": " in value or any(each in value for each in special)
        return json.dumps(value, ensure_ascii=False) if quoted else value
    return json.dumps(value)
