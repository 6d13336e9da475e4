"""What one load is asked to do, and the digest of everything that decides its outcome besides the source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import InstanceOf

from sluicegate.checks.contract import rules_of
from sluicegate.checks.rule import Rule
from sluicegate.faults import fault
from sluicegate.ledger.entries import Origin
from sluicegate.load.references import Referenced
from sluicegate.pipeline.keys.load import CheckOn, CopyFrom, Format, LoadOptions, Mode
from sluicegate.records.casts import misfits
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.records.types import parse_type

__all__ = ["LoadRequest", "mode_errors", "request_of"]

_CASTS = 2
"""Part of the digest: to be raised when the same file and configuration would come out differently."""


class LoadRequest(LoadOptions):
    """One source into one target: the options of a load, and what one run of it knows.

    `sources` are the URIs, read in this order; `table` is `[schema.]table`. `root` is the dags root, from which a
    suite is found. `references` says where the datasets are that columns refer to, by their name there. `memory_limit`
    is DuckDB's, e.g. `256MB`. Without `work_folder` a temporary one is made.

    :raises FaultError: WRONG_USE when its parts do not go together.
    """

    sources: tuple[str, ...]
    table: str
    format: Format = Format.model_construct()
    references: Mapping[str, InstanceOf[Referenced]] = {}
    root: Path = Path()
    origin: InstanceOf[Origin] = Origin()
    dry_run: bool = False
    force: bool = False
    memory_limit: str = MEMORY_LIMIT
    work_folder: Path | None = None

    def model_post_init(self, _: object) -> None:
        for _key, why in mode_errors(self):
            raise fault("WRONG_USE", why)
        for name, column in self.columns.items():
            try:
                type_ = parse_type(column.type) if column.type is not None else None
            except ValueError as error:
                raise fault("WRONG_USE", f"columns.{name}: {error}") from error
            for _key, why in misfits(type_, column):
                raise fault("WRONG_USE", f"columns.{name}: {why}")

    @property
    def source(self) -> str:
        """The source as the ledger names it."""
        return " ".join(self.sources)

    def rules(self) -> tuple[Rule, ...]:
        """All rules.

        :raises FaultError: CHECK_BROKEN when one of them cannot be understood.
        """
        return rules_of(self, self.root)

    def digest(self) -> str:
        """sha256 (hex) over everything that decides what becomes of a source's records."""
        rules = [[rule.expectation, dict(rule.kwargs)] for rule in self.rules()]
        config = {**self.counted(), "casts": _CASTS, "rules": rules}
        if self.mode is Mode.REPLACE_WINDOW:
            config["window"] = str(self.origin.window)  # the same records are others' in another one
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def request_of(
    options: LoadOptions,
    sources: Sequence[str],
    table: str,
    origin: Origin,
    *,
    root: Path,
    source_format: Format | None = None,
    scope: Mapping[str, Any] | None = None,
    results: str | None = None,
    references: Mapping[str, Referenced] | None = None,
    dry_run: bool = False,
    force: bool = False,
    memory_limit: str = MEMORY_LIMIT,
) -> LoadRequest:
    """The request of one run of a load, from what its pipeline says and what the run knows. Pure.

    :param sources: the URIs, rendered.
    :param table: `[schema.]table`, rendered.
    :param root: the dags root, from which a suite is found.
    :param references: where the datasets are that columns refer to, rendered.
    :param source_format: the format of the source's dataset, where the step itself says none.
    :param scope: what the run is narrowed to, rendered.
    :param results: the folder for what the checks saw, rendered.
    """
    return LoadRequest(
        **options.each()
        | {"format": options.format or source_format or Format(), "scope": scope or {}, "results": results},
        sources=tuple(sources),
        table=table,
        references=references or {},
        root=root,
        origin=origin,
        dry_run=dry_run,
        force=force,
        memory_limit=memory_limit,
    )


def mode_errors(options: LoadOptions) -> Iterator[tuple[str, str]]:
    """What does not go together or is not carried out: the pipeline file's key that says it, and why."""
    mode, key, newest_by = options.mode, options.key, options.newest_by
    if options.results is not None and not options.results.endswith("/"):
        yield "results", f"results: {options.results!r} is not a folder: it ends in `/`"
    if options.data_docs and options.results is None:
        yield "data_docs", "data_docs: are written to `results`, the folder for what the checks saw: say it too"
    if mode is Mode.REPLACE_WINDOW and options.window_by is None:
        yield "mode", "mode: replace_window needs a window_by: the column by which a record belongs to a window"
    if options.window_by is not None and mode is not Mode.REPLACE_WINDOW:
        yield "window_by", "window_by: says which rows are of a window, and goes with mode: replace_window"
    if options.delete_when and mode is not Mode.MERGE:
        yield "delete_when", "delete_when: deletes the row of a record's key, and goes with mode: merge"
    if twice := sorted(set(options.delete_when) & set(key)):
        yield "delete_when", f"delete_when: {', '.join(twice)} is part of the key, which says nothing of a deletion"
    if mode in {Mode.MERGE, Mode.INSERT_ONLY} and not key:
        yield "mode", f"mode: {mode} needs a key"
    if len(set(key)) != len(key):
        yield "key", f"key: names a column twice: {', '.join(key)}"
    if newest_by is not None and mode not in {Mode.MERGE, Mode.REPLACE_WINDOW}:
        yield "newest_by", "newest_by: says which version of a key wins, and goes with mode: merge"
    yield from _append_errors(options)
    yield from _copy_errors(options)
    if newest_by in key:
        yield "newest_by", f"newest_by: {newest_by} is part of the key, so it can choose nothing"


def _copy_errors(options: LoadOptions) -> Iterator[tuple[str, str]]:
    if options.copy_from is not CopyFrom.S3:
        return
    if options.check_on is not CheckOn.CLUSTER:
        yield "copy_from", "copy_from: s3 is for what a cluster has checked: say `check_on: cluster` too"
    if options.batch_rows is not None:
        yield "batch_rows", "batch_rows: with `copy_from: s3` the server copies all records at once: leave it out"


def _append_errors(options: LoadOptions) -> Iterator[tuple[str, str]]:
    """What could not be made good later, where a source version is added once."""
    if options.mode is not Mode.APPEND:
        return
    if options.scope:
        yield "scope", "scope: what it leaves out could not be added later: mode: append takes a source version once"
    if options.skip_bad_files:
        yield (
            "skip_bad_files",
            "skip_bad_files: a mended file is loaded with all the others, which mode: append would add a second time",
        )
