"""What one load is asked to do, and the digest of everything that decides its outcome besides the source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sluicegate.checks.rule import Rule, number_twins, rules_of_checks, rules_of_contract, rules_of_suite
from sluicegate.faults import fault
from sluicegate.ledger.entries import Origin
from sluicegate.pipeline.keys.model import Check, Column, DeadLetters, Format, Mode, OnSchemaChange
from sluicegate.pipeline.text.quantities import Limit
from sluicegate.records.casts import misfits
from sluicegate.records.types import parse_type

__all__ = ["LoadRequest", "LoadWords", "contradictions", "request_of"]

_CASTS = 2
"""Part of the digest: to be raised when the same file and configuration would come out differently."""


@dataclass(frozen=True)
class LoadRequest:
    """One source into one target.

    `sources` are the URIs, read in this order; `table` is `[schema.]table`. `mode` None is merge where there is a
    key, else append. `suite` is a file. `memory_limit` is DuckDB's, e.g. `400MB`. Without `work_folder` a temporary
    one is made.

    :raises FaultError: WRONG_USE when its parts do not go together.
    """

    sources: tuple[str, ...]
    table: str
    key: tuple[str, ...] = ()
    mode: Mode | None = None
    newest_by: str | None = None
    format: Format = field(default_factory=Format)
    columns: Mapping[str, Column] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    suite: Path | None = None
    max_dead: Limit = DeadLetters().max
    on_schema_change: OnSchemaChange = OnSchemaChange.FAIL
    origin: Origin = field(default_factory=Origin)
    dry_run: bool = False
    force: bool = False
    memory_limit: str = "400MB"
    work_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.mode is None:
            object.__setattr__(self, "mode", Mode.MERGE if self.key else Mode.APPEND)
        object.__setattr__(self, "mode", Mode(str(self.mode)))
        object.__setattr__(self, "on_schema_change", OnSchemaChange(self.on_schema_change))
        for _, why in contradictions(Mode(str(self.mode)), self.key, self.newest_by):
            raise fault("WRONG_USE", why)
        for name, column in self.columns.items():
            try:
                type_ = parse_type(column.type) if column.type is not None else None
            except ValueError as error:
                raise fault("WRONG_USE", f"columns.{name}: {error}") from error
            for _, why in misfits(type_, column):
                raise fault("WRONG_USE", f"columns.{name}: {why}")

    @property
    def source(self) -> str:
        """The source as the ledger names it."""
        return " ".join(self.sources)

    def rules(self) -> tuple[Rule, ...]:
        """All rules: the contract's, the checks', the suite's; a key column is required in any case.

        :raises FaultError: CHECK_BROKEN when one of them cannot be understood.
        """
        key = [Rule("expect_column_values_to_not_be_null", {"column": name}) for name in self.key]
        suite = rules_of_suite(self.suite) if self.suite is not None else []
        return number_twins([*key, *rules_of_contract(self.columns), *rules_of_checks(self.checks), *suite])

    def digest(self) -> str:
        """sha256 (hex) over everything that decides what becomes of a source's records."""
        config = {
            "casts": _CASTS,
            "key": self.key,
            "mode": self.mode,
            "newest_by": self.newest_by,
            "format": self.format.model_dump(mode="json"),
            "columns": {name: column.model_dump(mode="json") for name, column in self.columns.items()},
            "rules": [[rule.expectation, dict(rule.kwargs)] for rule in self.rules()],
            "max_dead": str(self.max_dead),
            "on_schema_change": self.on_schema_change,
        }
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class LoadWords(Protocol):
    """What a pipeline file says of a load: a `LoadStep`, and the operator that is made of one."""

    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def mode(self) -> Mode | None: ...
    @property
    def newest_by(self) -> str | None: ...
    @property
    def format(self) -> Format | None: ...
    @property
    def columns(self) -> Mapping[str, Column]: ...
    @property
    def checks(self) -> tuple[Check, ...]: ...
    @property
    def suite(self) -> str | None: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def on_schema_change(self) -> OnSchemaChange: ...


def request_of(
    words: LoadWords,
    sources: Sequence[str],
    table: str,
    origin: Origin,
    *,
    root: Path,
    source_format: Format | None = None,
    dry_run: bool = False,
    force: bool = False,
    memory_limit: str = LoadRequest.memory_limit,
) -> LoadRequest:
    """The request of one run of a load, from what its pipeline says and what the run knows. Asks nobody else.

    :param sources: the URIs, rendered.
    :param table: `[schema.]table`, rendered.
    :param root: the dags root, from which a suite is found.
    :param source_format: the format of the source's dataset, where the step itself says none.
    """
    return LoadRequest(
        sources=tuple(sources),
        table=table,
        key=words.key,
        mode=words.mode,
        newest_by=words.newest_by,
        format=words.format or source_format or Format(),
        columns=words.columns,
        checks=words.checks,
        suite=root / words.suite if words.suite else None,
        max_dead=words.dead_letters.max,
        on_schema_change=words.on_schema_change,
        origin=origin,
        dry_run=dry_run,
        force=force,
        memory_limit=memory_limit,
    )


def contradictions(mode: Mode, key: Sequence[str], newest_by: str | None) -> Iterator[tuple[str, str]]:
    """What does not go together or is not carried out: the pipeline file's key that says it, and why."""
    if mode is Mode.REPLACE_WINDOW:
        yield "mode", "mode: replace_window is not carried out by this version; merge, insert_only and append are"
    if mode in {Mode.MERGE, Mode.INSERT_ONLY} and not key:
        yield "mode", f"mode: {mode} needs a key"
    if len(set(key)) != len(key):
        yield "key", f"key: names a column twice: {', '.join(key)}"
    if newest_by is not None and mode not in {Mode.MERGE, Mode.REPLACE_WINDOW}:
        yield "newest_by", "newest_by: says which version of a key wins, and goes with mode: merge"
    if newest_by in key:
        yield "newest_by", f"newest_by: {newest_by} is part of the key, so it can choose nothing"
