"""What a file says as far as it could be read: a draft of it, with a variant for each pipeline that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sluicegate.graph.datasets import split
from sluicegate.pipeline.diagnostics import Diagnostic, Where
from sluicegate.pipeline.keys.model import Pipeline, Read
from sluicegate.pipeline.text.source import Source

__all__ = ["Draft", "Variant"]


@dataclass(frozen=True)
class Variant:
    """One pipeline of a file: the only one, or that of one combination of its `matrix:`.

    `pipeline` has only those parts that are right. `elsewhere` is what is read from other pipelines, each with its
    place, also by steps that are wrong.
    """

    name: str
    source: Source
    pipeline: Pipeline
    diagnostics: tuple[Diagnostic, ...]
    elsewhere: tuple[tuple[Where, Read], ...]

    @property
    def upstreams(self) -> frozenset[str]:
        """The pipelines that it reads from, or would."""
        return frozenset(split(read.dataset)[0] for _, read in self.elsewhere)

    def is_wrong_at(self, *tops: str) -> bool:
        """Whether there is an error at or below one of these top-level keys."""
        return any(
            diagnostic.is_error and diagnostic.where.partition(".")[0] in tops for diagnostic in self.diagnostics
        )


@dataclass(frozen=True)
class Draft:
    """What a file says as far as it could be read.

    There are no `variants` where the file, or a default of it, is not YAML, or its matrix makes none. `env` are the
    variables that the file asks for, and what they are.
    """

    file: Path
    variants: tuple[Variant, ...]
    diagnostics: tuple[Diagnostic, ...]
    env: Mapping[str, str | None]

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        return tuple(variant.pipeline for variant in self.variants)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its pipelines; the one it would have where it has none."""
        return tuple(variant.name for variant in self.variants) or (self.file.stem,)

    def variant(self, name: str) -> Variant | None:
        """The pipeline of that name, if this file makes it."""
        return next((variant for variant in self.variants if variant.name == name), None)

    @property
    def is_good(self) -> bool:
        return bool(self.variants) and not any(diagnostic.is_error for diagnostic in self.diagnostics)
