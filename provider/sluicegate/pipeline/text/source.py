"""A pipeline file with the `defaults.yaml` that hold for it: one value that knows where each part is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Severity, Where, dotted
from sluicegate.pipeline.text.digest import digest_of, texts_of
from sluicegate.pipeline.text.environment import Environment, expand
from sluicegate.pipeline.text.yaml import Document, Place, parse, plain_value

__all__ = ["Report", "Source"]


@dataclass(frozen=True)
class Source:
    """`layers`: the file itself, then its defaults from the deepest folder up.

    `env` are the names that `${env:NAME}` asked for, None where nothing is known under them. `unclear` are the
    values that are not known because of an error that is reported already. Of a file with a `matrix:` there is one for
    each combination, with `matrix` and its own `name` and `value`.
    """

    file: Path
    root: Path
    layers: tuple[Document, ...]
    value: Mapping[str, Any]
    digest: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    unclear: frozenset[tuple[Path, Where]] = frozenset()
    name: str = ""
    matrix: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path, root: Path, environment: Environment | None = None) -> Source:
        """Read `file` and its defaults.

        :param environment: what `${env:NAME}` may see; this process's unless it is given
        :raises PipelineErrors: when one of them is not YAML; with the diagnostics of all that are not.
        :raises OSError: when `file` cannot be read.
        """
        layers: list[Document] = []
        broken: list[Diagnostic] = []
        texts = texts_of(file, root)
        for path, data in texts.items():
            try:
                layers.append(parse(data, path) if path == file else _parse_defaults(data, path))
            except PipelineErrors as errors:
                broken += errors.diagnostics
        if broken:
            raise PipelineErrors(broken, root)
        env: dict[str, str | None] = {}
        unclear: set[tuple[Path, Where]] = set()
        for index, layer in enumerate(layers):
            unclear |= {(layer.file, where) for where in layer.unclear}
            if "${env:" in layer.text:
                expanded = expand(layer, environment or Environment.of_process())
                layers[index] = expanded.document
                env |= expanded.used
                unclear |= {(layer.file, where) for where in expanded.unclear}
        value: Mapping[str, Any] = {}
        for layer in reversed(layers):
            value = _merge(value, _long(layer.value))
        digest = digest_of(texts.values(), env)
        return cls(file, root, tuple(layers), value, digest, env, frozenset(unclear), file.stem)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Those of the documents themselves, such as duplicate keys."""
        return tuple(diagnostic for layer in self.layers for diagnostic in layer.diagnostics)

    def diagnostic(
        self,
        where: Where,
        code: str,
        message: str,
        *,
        key: bool = False,
        inside: str | None = None,
        suggestion: str | None = None,
        severity: Severity = "error",
    ) -> Diagnostic:
        """A diagnostic at `where`, in the layer that decides it; at the nearest place above if there is none.

        :param key: point at the key rather than at its value.
        :param inside: point at these words inside the value, if they can be found there.
        """
        document, reached, key_place, value_place = self._find(where)
        place = key_place if key or reached < len(where) else value_place
        if inside is not None:
            place = document.inside(where, inside) or place
        return Diagnostic(
            code=code,
            message=message,
            file=document.file,
            line=place.line,
            column=place.column,
            where=dotted(where),
            suggestion=suggestion,
            source=document.line(place.line),
            severity=severity,
        )

    def number(self, where: Where, value: float) -> str:
        """The number `value` at `where` as the file has it: `1.10` and `007` are texts to a job."""
        written = (document.number(where) for document in self.layers)
        return next((text for text in written if text is not None and plain_value(text) == value), str(value))

    def _find(self, where: Where) -> tuple[Document, int, Place, Place]:
        best: tuple[Document, int, Place, Place] | None = None
        for document in self.layers:
            reached, decides, key, value = document.follow(where)
            if reached == len(where):
                return document, reached, key, value
            if decides:
                # This is not a mapping, so nothing was merged into it: the value itself is meant.
                return document, len(where), key, value
            if best is None or reached > best[1]:
                best = document, reached, key, value
        assert best is not None
        return best


class Report:
    """The diagnostics found so far in one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = list(source.diagnostics)
        self.errors = 0
        """How many were found here, those that are reported already included."""

    def error(
        self,
        where: Where,
        code: str,
        message: str,
        *,
        key: bool = False,
        inside: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        self.errors += 1
        self._add(self.source.diagnostic(where, code, message, key=key, inside=inside, suggestion=suggestion), where)

    def warning(
        self, where: Where, code: str, message: str, *, key: bool = False, suggestion: str | None = None
    ) -> None:
        diagnostic = self.source.diagnostic(where, code, message, key=key, suggestion=suggestion, severity="warning")
        self._add(diagnostic, where)

    def _add(self, diagnostic: Diagnostic, where: Where) -> None:
        # A value that could not be filled in is unknown: it gets no second diagnostic.
        if (diagnostic.file, where) not in self.source.unclear:
            self.diagnostics.append(diagnostic)


@lru_cache(maxsize=64)
def _parse_defaults(data: bytes, path: Path) -> Document:
    """Defaults hold for many files: each text of theirs is parsed once. A document's value is never changed."""
    return parse(data, path)


def _long(value: Mapping[str, Any]) -> dict[str, Any]:
    """Short forms that would hide what a deeper or higher file says, written out."""
    result = dict(value)
    schedule, retries = result.get("schedule"), result.get("retries")
    if isinstance(schedule, str) and schedule not in ("none", "once"):
        result["schedule"] = {"cron": schedule}
    if isinstance(retries, int) and not isinstance(retries, bool):
        result["retries"] = {"count": retries}
    return result


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge, everything else replaces."""
    result = dict(under)
    for key, value in over.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return result
