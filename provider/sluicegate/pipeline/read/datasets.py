"""The datasets of a file: those named under `datasets:`, and the URIs written inside steps."""

from __future__ import annotations

import re
from typing import Any, Literal

from sluicegate.graph import template
from sluicegate.graph.datasets import is_foreign
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Dataset, Read
from sluicegate.pipeline.read.validate import invalid_name, known_keys, mapping, shown, text, validate
from sluicegate.pipeline.text.source import Report

__all__ = ["Bound", "Datasets", "Side"]

SCHEMES = ("s3", "gs", "file", "https", "http", "table", "iceberg")
Side = Literal["reads", "writes"]
Bound = dict[str, tuple[Any, Where]]
"""What is at a binding, and where."""
_URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):/{1,2}(.*)", re.DOTALL)
_TABLES = {
    "table": (re.compile(r"[\w.-]+/[^/]+"), "<table>"),
    "iceberg": (re.compile(r"[\w.-]+/[^/.]+(\.[^/.]+)+|[\w.-]+/[^/]*\{[^/]*"), "<namespace.table>"),
}
"""Of what is not a file, what follows the scheme, and in words behind the connection."""
_KEYS = keys_of(Dataset)
_READ_KEYS = keys_of(Read)


class Datasets:
    """What a pipeline's steps may refer to. URIs in steps are added as they are met, keyed by their text."""

    def __init__(self, pipeline: str, params: frozenset[str], report: Report) -> None:
        self.pipeline = pipeline
        self.params = params
        self.report = report
        self.known: dict[str, Dataset] = {}
        self.declared: frozenset[str] = frozenset()
        self.mapped = False
        """Whether the step that is being read has an `item`."""
        self.elsewhere: list[tuple[Where, Read]] = []
        """What is read from other pipelines, each with its place; also by steps that are wrong."""
        self.lost = 0
        """How many references led nowhere so far: also those to datasets whose error is noted where they are."""

    def declare(self, value: object) -> None:
        """Read the `datasets:` section."""
        named = mapping(value, ("datasets",), self.report)
        self.declared = frozenset(named)
        for name, raw in named.items():
            where = ("datasets", name)
            wrong = invalid_name(name)
            if wrong is not None:
                self.report.error(where, "name", wrong, key=True)
            dataset = self._dataset(name, raw, where)
            if dataset is not None and wrong is None:
                self.known[name] = dataset

    def _dataset(self, name: str, raw: object, where: Where) -> Dataset | None:
        if isinstance(raw, dict):
            given = known_keys(raw, _KEYS, where, self.report, "a dataset")
            if "uri" not in given:
                if not any(did_you_mean(key, _KEYS) == "uri" for key in raw):
                    self.report.error(where, "missing-key", "`uri` is missing", key=True)
                return None
            at: Where = (*where, "uri")
        else:
            given, at = {"uri": raw}, where
        uri = text(given["uri"], at, self.report, "a URI" if isinstance(raw, dict) else Dataset)
        # Which steps use it, and whether they have an `item`, is seen when they do.
        if uri is None or not self._check_uri(uri, at, mapped=True):
            return None
        if given.get("connection") is not None and uri.startswith(("table://", "iceberg://", "file://")):
            why = "a table names its connection in its URI" if not uri.startswith("file://") else "a file needs none"
            self.report.error((*where, "connection"), "value", f"`connection` is for servers: {why}", key=True)
        made = {**given, "name": name}
        return validate(Dataset, made, where, self.report)

    def _check_uri(self, uri: str, where: Where, *, mapped: bool) -> bool:
        if uri.lstrip().startswith("{{") and template.needs_item(uri):
            return self.check_template(uri, where, mapped=mapped)  # a place that is an item itself
        found = _URI.match(uri)
        scheme = found[1] if found else ""
        known = "s3:// gs:// file:// https:// table:// iceberg://"
        if found is None or scheme not in SCHEMES or not uri.startswith(f"{scheme}://"):
            meant = did_you_mean(scheme, [*SCHEMES, "s3a"]) if scheme else None
            meant = {"s3a": "s3"}.get(meant or "", meant)
            self.report.error(
                where,
                "uri",
                f"expected a URI that begins with one of {known}",
                suggestion=meant and f"{meant}://",
            )
            return False
        rest = uri.split("://", 1)[1]
        pattern, named = _TABLES.get(scheme, (None, ""))
        if pattern is not None and not pattern.fullmatch(rest):
            self.report.error(where, "uri", f"expected {scheme}://<connection>/{named}, not {shown(uri)}")
            return False
        if not rest.strip("/"):
            self.report.error(where, "uri", f"{shown(uri)} names no place")
            return False
        return self.check_template(uri, where, mapped=mapped)

    def check_template(self, words: str, where: Where, *, mapped: bool | None = None) -> bool:
        """Whether a template of ours parses and uses only what exists.

        :param mapped: whether it may use `item`; as the step that is being read unless given
        """
        found = template.diagnostics(words, self.params, self.mapped if mapped is None else mapped)
        for wrong in found:
            self.report.error(where, "template", wrong.message, inside=wrong.at, suggestion=wrong.suggestion)
        return not found

    def refer(self, words: str, where: Where, side: Side) -> str | None:
        """The key of the dataset that a step calls `words`, or None and a diagnostic.

        A name of this pipeline, a URI (then known from here on), or, in reads, `pipeline.dataset`.
        """
        key = self._refer(words, where, side)
        self.lost += key is None
        return key

    def _refer(self, words: str, where: Where, side: Side) -> str | None:
        if ":/" in words or template.needs_item(words):
            if (words not in self.known or not self.mapped) and not self._check_uri(words, where, mapped=self.mapped):
                return None
            self.known.setdefault(words, Dataset(uri=words))
            return words
        pipeline, dot, name = words.partition(".")
        if dot and pipeline == self.pipeline:
            words, dot = name, ""
        if not dot:
            return self._named(words, where)
        # No pipeline has a capital letter: which one was meant is seen where all are known.
        if invalid_name(pipeline.lower()) or invalid_name(name.lower()):
            message = f"{shown(words)} is neither a dataset nor `pipeline.dataset`"
            self.report.error(where, "missing-dataset", message)
            return None
        if side == "writes":
            message = f"`{words}` is another pipeline's: only `{pipeline}` writes it"
            self.report.error(where, "foreign-write", message)
            return None
        return words

    def _named(self, name: str, where: Where) -> str | None:
        if name in self.known:
            if template.needs_item(self.known[name].uri) and not self.mapped:
                message = f"`{name}` has a place for each `item`, and this step has no `for_each`"
                folder = "; a folder around them can be read as a whole"
                self.report.error(where, "item-place", message + folder)
                return None
            return name
        if name not in self.declared:  # one that is declared, but wrong, has its diagnostic already
            meant = did_you_mean(name, self.declared)
            hint = "" if meant else ": declare it under `datasets:`, or write its URI"
            message = f"there is no dataset {shown(name)}{hint}"
            self.report.error(where, "missing-dataset", message, suggestion=meant)
        return None

    def bindings(self, raw: object, where: Where, side: Side) -> Bound:
        """`reads:` or `writes:` in any of its forms, by binding: its value and place."""
        if raw is None:
            return {}
        if isinstance(raw, dict) and not ("dataset" in raw and set(raw) <= set(_READ_KEYS)):
            for binding in raw:
                if wrong := invalid_name(binding):
                    self.report.error((*where, binding), "name", wrong, key=True)
            return {binding: (item, (*where, binding)) for binding, item in raw.items()}
        items = list(enumerate(raw)) if isinstance(raw, list) else [(None, raw)]
        found: Bound = {}
        for index, item in items:
            at = where if index is None else (*where, index)
            name = item.get("dataset") if isinstance(item, dict) else item
            if not isinstance(name, str):
                forms = "the name of a dataset, {dataset: …}" if side == "reads" else "the name of a dataset"
                whole = "" if index is not None else ", a list of them, or {binding: dataset}"
                self.report.error(at, "type", f"expected {forms}{whole}, not {shown(item)}")
                continue
            if ":/" in name or "{{" in name:
                message = f"a URI has no name of its own: `{side}: {{name: {name}}}`"
                self.report.error(at, "missing-binding", message)
                continue
            binding = name.rpartition(".")[2]
            if binding in found:
                message = f"two datasets are called `{binding}`: `{side}: {{first: …, second: …}}`"
                self.report.error(at, "duplicate-binding", message)
                continue
            found[binding] = (item, at)
        return found

    def read_once(self, words: str, where: Where) -> Read | None:
        """A dataset of which any state will do: that of another pipeline has been written once."""
        key = self.refer(words, where, "reads")
        if key is None:
            return None
        read = Read(dataset=key, latest=is_foreign(key))
        if is_foreign(key):
            self.elsewhere.append((where, read))
        return read

    def read(self, raw: object, where: Where) -> Read | None:
        """One thing that is read: a name or `{dataset: …, latest: true}`."""
        given: dict[str, Any]
        if isinstance(raw, dict):
            given, at = raw, (*where, "dataset")
            if "dataset" not in raw:
                self.report.error(where, "missing-key", "`dataset` is missing", key=True)
                known_keys(raw, _READ_KEYS, where, self.report, "what is read")
                return None
        else:
            given, at = {"dataset": raw}, where
        words = text(given["dataset"], at, self.report, "a dataset" if isinstance(raw, dict) else Read)
        key = self.refer(words, at, "reads") if words is not None else None
        if key is None:
            validate(Read, {**given, "dataset": "x"}, where, self.report)
            return None
        read = validate(Read, {**given, "dataset": key}, where, self.report)
        if read is None and is_foreign(key):
            # That it is there is asked all the same; of its windows nothing where `latest` is what is wrong.
            latest = any(did_you_mean(option, _READ_KEYS) == "latest" for option in given)
            self.elsewhere.append((at, Read(dataset=key, latest=latest)))
        if read is not None and key in self.known:
            for option in ("latest", "on_upstream_failure", "on_upstream_skipped"):
                if option in given:
                    message = f"`{option}` is for datasets of other pipelines"
                    self.report.error((*where, option), "value", message, key=True)
        elif read is not None and is_foreign(key):
            self.elsewhere.append((at, read))
        return read
