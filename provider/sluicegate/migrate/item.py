"""YAML as dag-factory reads it (YAML 1.1, by PyYAML), with the place of every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors

__all__ = ["Item", "Items", "merged", "read_items"]

_PYTHON_NAME = "tag:yaml.org,2002:python/name:"
_OWN_TAG = "tag:yaml.org,2002:"
_MAX_DEPTH = 100


@dataclass(frozen=True)
class Item:
    """A value: `{key: Item}`, a list of items, or a scalar. `line` and `column` are its key's, from 1."""

    value: Any
    file: Path
    line: int
    column: int = 1

    @property
    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: item.plain for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value

    @property
    def items(self) -> Items:
        """The keys and values of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def mapping(self, what: str) -> Items:
        """The items of a mapping, none of nothing.

        :raises PipelineErrors: for anything else
        """
        if self.value is not None and not isinstance(self.value, dict):
            raise self.refused(f"{what} is keys and values, not {self.plain!r}")
        return self.items

    @property
    def text(self) -> str:
        """A scalar as text; what is none is the id of nothing."""
        return "" if self.value is None or isinstance(self.value, dict | list) else str(self.value)

    def holding(self, value: Any) -> Item:
        """Another value at the same place."""
        return replace(self, value=value)

    def refused(self, message: str) -> PipelineErrors:
        """What is wrong here, to be raised."""
        lines = self.file.read_text("utf-8", "replace").splitlines()
        source = lines[self.line - 1] if self.line <= len(lines) else ""
        return PipelineErrors([Diagnostic("dag-factory", message, self.file, self.line, self.column, source=source)])


Items = Mapping[str, Item]


def merged(over: Items, under: Items) -> dict[str, Item]:
    """As dag-factory merges a DAG with its defaults: mappings merge, everything else stays as it is in `over`."""
    result = dict(over)
    for key, item in under.items():
        if key not in result:
            result[key] = item
        elif isinstance(result[key].value, dict) and isinstance(item.value, dict):
            result[key] = result[key].holding(merged(result[key].value, item.value))
    return result


def read_items(file: Path) -> Item:
    """The document of `file`, a mapping.

    :raises PipelineErrors: with the place, when it cannot be read, is not YAML or is not a mapping
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise PipelineErrors([Diagnostic("unreadable", f"this cannot be read: {reason}", file)]) from None
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        document = Item({}, file, 1) if node is None else _Reader(loader, file).item(node, node, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise Item(None, file, line, column).refused(f"this is not YAML: {error.problem}") from None
    if not isinstance(document.value, dict):
        raise document.refused("expected DAGs by their ids: `my_dag: {tasks: …}`")
    return document


class _Reader:
    def __init__(self, loader: yaml.CSafeLoader, file: Path) -> None:
        self.loader = loader
        self.file = file

    def item(self, node: Node, key: Node, depth: int) -> Item:
        here = Item(None, self.file, key.start_mark.line + 1, key.start_mark.column + 1)
        if depth > _MAX_DEPTH:
            raise here.refused("this is nested too deep, or an alias contains itself")
        if node.tag.startswith(_PYTHON_NAME):
            return here.holding(node.tag.removeprefix(_PYTHON_NAME))
        if not node.tag.startswith(_OWN_TAG) or node.tag.startswith(f"{_OWN_TAG}python/"):
            raise here.refused(f"a value with the tag `{node.tag}` cannot be converted")
        if isinstance(node, MappingNode):
            self.loader.flatten_mapping(node)
            pairs = [(str(self.scalar(name)), name, value) for name, value in node.value]
            return here.holding({text: self.item(value, name, depth + 1) for text, name, value in pairs})
        if isinstance(node, SequenceNode):
            return here.holding([self.item(value, value, depth + 1) for value in node.value])
        return here.holding(self.scalar(node))

    def scalar(self, node: Node) -> Any:
        if not isinstance(node, ScalarNode):
            raise Item(None, self.file, node.start_mark.line + 1, node.start_mark.column + 1).refused(
                "a key has to be text"
            )
        return self.loader.construct_object(node)
