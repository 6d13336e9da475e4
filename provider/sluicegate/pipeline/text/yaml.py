"""YAML 1.2 (core schema) with places, on libyaml's parser.

Plain values come out; keys are always text (`null: x` has the key `"null"`). There are no tags, no merge
keys (`<<` is YAML 1.1) and no aliases that explode. Knows nothing of pipelines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Place, Severity, Where, dotted
from sluicegate.pipeline.text.syntax import explain

__all__ = ["Document", "Place", "Written", "parse", "plain_value"]

_MAX_VALUES = 100_000
_MAX_DEPTH = 100
_MANY_OPENINGS = 2_000
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what libyaml counts as the end of a line
_OPENED = re.compile(r"\{[{%]|\$\{")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_FIRST = frozenset("+-.0123456789~nNtTfF")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_LONGEST_INT = 4000  # Python itself refuses to read more digits


class Written(NamedTuple):
    """A scalar as the file has it. `plain`: without quotes, so that its text may mean a number."""

    where: Where
    text: str
    plain: bool
    is_key: bool


class _Parser(CParser):
    """Composes nodes and resolves nothing: a tag that a node has afterwards was written in the file."""

    def resolve(self, kind: type[Node], value: object, implicit: object) -> None:
        return None

    def descend_resolver(self, node: object, index: object) -> None: ...

    def ascend_resolver(self) -> None: ...


@dataclass(frozen=True)
class Document:
    """A parsed file. `diagnostics` are those that left a readable document: duplicate keys, tags, `<<`.

    `unclear` are the values that are not known because of one of them. Can be pickled: the places, which only
    diagnostics need, are then found in the text again.
    """

    file: Path
    text: str
    value: dict[str, Any]
    diagnostics: tuple[Diagnostic, ...] = ()
    unclear: frozenset[Where] = frozenset()

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def root(self) -> Node | None:
        """The nodes, which know their places; None where there are none."""
        try:
            return _Parser(self.text).get_single_node()
        except YAMLError:
            return None

    @cached_property
    def lines(self) -> list[str]:
        return _BREAK.split(self.text)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1; empty beyond the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def scalars(self, mark: str) -> Iterator[Written]:
        """The scalars whose text has `mark` in it, keys too, each at every place that an alias gives it."""
        if self.root is not None:
            yield from _scalars(self.root, (), mark)

    def inside(self, where: Where, words: str) -> Place | None:
        """Where `words` are in the scalar at `where`, from its first template or `${` on; None if nowhere.

        Looked for in the file's own text, since quotes, escapes and folded lines move what is in them.
        """
        node: Node | None = self.root
        for part in where:
            node = _child(node, part)
        if not isinstance(node, ScalarNode):
            return None
        text = self.text[: node.end_mark.index]
        opened = _OPENED.search(text, node.start_mark.index)
        word = rf"(?<!\w){re.escape(words)}(?!\w)" if words.isidentifier() else re.escape(words)
        found = re.compile(word).search(text, opened.start() if opened else node.start_mark.index)
        return None if found is None else _place_after(text[: found.start()])

    def number(self, where: Where) -> str | None:
        """The number at `where` as the file has it, `1.10` and not 1.1; None where there is none."""
        node: Node | None = self.root
        for part in where:
            node = _child(node, part)
        return node.value if isinstance(node, ScalarNode) and not node.style else None

    def follow(self, where: Where) -> tuple[int, bool, Place, Place]:
        """How far `where` leads here.

        :return: how many of its parts exist, whether a value other than a mapping ended the way, and the
            places of the key and of the value reached.
        """
        node = self.root
        key = value = Place(1, 1)
        if isinstance(node, MappingNode) and node.value:
            key = value = _place(node.value[0][0])
        for depth, part in enumerate(where):
            found: tuple[Node, Node] | None = None
            if isinstance(node, MappingNode):
                found = next((pair for pair in node.value if pair[0].value == part), None)
            elif isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
                found = (node.value[part], node.value[part])
            if found is None:
                return depth, depth > 0 and not isinstance(node, MappingNode), key, value
            node = found[1]
            key, value = _place(found[0]), _place(node)
        return len(where), True, key, value

    def diagnostic(
        self, code: str, message: str, place: Place, where: Where = (), severity: Severity = "error"
    ) -> Diagnostic:
        return Diagnostic(
            code=code,
            message=message,
            file=self.file,
            line=place.line,
            column=place.column,
            where=dotted(where),
            source=self.line(place.line),
            severity=severity,
        )


def parse(data: bytes, file: Path) -> Document:
    """The document in `data`; an empty one is an empty mapping.

    :raises PipelineErrors: with one diagnostic, when the text is not UTF-8, not YAML or not a mapping.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        blank = Document(file, data.decode("utf-8", "replace"), {})
        raise PipelineErrors(
            [blank.diagnostic("encoding", "this is not UTF-8: save the file as UTF-8", _place_after(before))]
        ) from None
    blank = Document(file, text, {})
    if forbidden := _FORBIDDEN.search(text):
        message = f"the character U+{ord(forbidden[0]):04X} is not allowed in YAML"
        raise PipelineErrors([blank.diagnostic("syntax", message, _place_after(text[: forbidden.start()]))])
    try:
        _check_depth(text, blank)
        node = _Parser(text).get_single_node()
    except MarkedYAMLError as error:
        message, place = explain(error, text, blank.lines)
        raise PipelineErrors([blank.diagnostic("syntax", message, place)]) from None
    if node is None:
        return blank
    if not isinstance(node, MappingNode):
        message = "expected keys and values: `key: value`"
        raise PipelineErrors([blank.diagnostic("syntax", message, _place(node))])
    builder = _Builder(blank)
    value = builder.mapping(node)
    document = Document(file, text, value, tuple(builder.diagnostics), frozenset(builder.unclear))
    document.__dict__["root"] = node  # as composed already
    return document


def _check_depth(text: str, blank: Document) -> None:
    """Refuse what would overflow the stack of libyaml's composer, and so end the process.

    :raises PipelineErrors: where a text with very many openings is nested too deep
    """
    if sum(text.count(opening) for opening in ("[", "{", "- ", "? ")) < _MANY_OPENINGS:
        return
    parser, depth = _Parser(text), 0
    while (event := parser.get_event()) is not None:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _MAX_DEPTH:
            message = f"this is nested deeper than {_MAX_DEPTH} levels"
            raise PipelineErrors([blank.diagnostic("too-large", message, _place(event))])


class _Builder:
    """Nodes to values; keeps the way it has come for the diagnostics it finds."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.diagnostics: list[Diagnostic] = []
        self.unclear: set[Where] = set()
        self.way: list[str | int] = []
        self.count = 0

    def note(self, code: str, message: str, node: Node) -> None:
        self.diagnostics.append(self.document.diagnostic(code, message, _place(node), tuple(self.way)))

    def value(self, node: Node) -> Any:
        self.count += 1
        if self.count > _MAX_VALUES or len(self.way) > _MAX_DEPTH:
            deep = f"this is nested deeper than {_MAX_DEPTH} levels, or an alias contains itself"
            many = f"there are more than {_MAX_VALUES:,} values here once the aliases are expanded"
            self.note("too-large", deep if len(self.way) > _MAX_DEPTH else many, node)
            raise PipelineErrors(self.diagnostics)
        if node.tag is not None:
            self.note("tag", f"tags such as `{node.tag}` are not used here: write the value alone", node)
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if isinstance(node, MappingNode):
            return self.mapping(node)
        items = []
        for index, item in enumerate(node.value):
            self.way.append(index)
            items.append(self.value(item))
            self.way.pop()
        return items

    def scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if node.style or (text and text[0] not in _FIRST):
            return text
        return plain_value(text)

    def mapping(self, node: MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                if isinstance(key_node, MappingNode):
                    self.note("key", 'a template has to be quoted: "{{ ds }}"', node)
                else:
                    self.note("key", "a key has to be text", key_node)
                self.unclear.add(tuple(self.way))
                continue
            key: str = key_node.value
            if key_node.tag is not None:
                self.note("tag", f"tags such as `{key_node.tag}` are not used here", key_node)
            if key == "<<" and not key_node.style:
                message = "`<<` is not part of YAML 1.2: use `defaults.yaml`, or write the keys"
                self.note("merge-key", message, key_node)
                continue
            self.way.append(key)
            if key in result:
                first = next(_place(other) for other, _ in node.value if other.value == key)
                self.note("duplicate-key", f"`{key}` is here twice, first on line {first.line}", key_node)
            else:
                result[key] = self.value(value_node)
            self.way.pop()
        return result


def plain_value(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    if len(text) > _LONGEST_INT:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float("-inf" if text[0] == "-" else "inf")
    return float("nan") if text in _NAN else text


def _child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        item: Node = node.value[part]
        return item
    return None


def _scalars(node: Node, where: Where, mark: str) -> Iterator[Written]:
    if isinstance(node, ScalarNode):
        if mark in node.value:
            yield Written(where, node.value, not node.style, False)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                continue
            way = (*where, key.value)
            if mark in key.value:
                yield Written(way, key.value, not key.style, True)
            yield from _scalars(value, way, mark)
    else:
        for index, item in enumerate(node.value):
            yield from _scalars(item, (*where, index), mark)


def _place(node: Node | Event) -> Place:
    assert node.start_mark is not None
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _place_after(text: str) -> Place:
    lines = _BREAK.split(text)
    return Place(len(lines), len(lines[-1]) + 1)
