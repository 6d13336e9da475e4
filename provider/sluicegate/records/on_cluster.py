"""A load whose records are checked on a cluster: the plan for the job there, and where it leaves what comes of it.

Pure. The spark step and the load make the same plan of the same keys, and know by its digest that they mean one thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sluicegate.checks.contract import rules_of
from sluicegate.checks.rule import REFERENCES, Rule
from sluicegate.checks.spark import SparkColumn, plan_of
from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.load import Column, CopyFrom, LoadOptions, Mode
from sluicegate.pipeline.keys.model import LoadStep, Pipeline
from sluicegate.records.types import parse_type

__all__ = ["ClusterCheck", "checked_folder", "cluster_errors", "cluster_plan", "digest_of", "options_of"]

_TYPES = {
    "text", "varchar", "char", "uuid", "json", "jsonb", "smallint", "integer", "bigint", "real", "double", "numeric",
    "boolean", "date", "timestamp", "timestamptz",
}  # fmt: skip
_WORKERS = "leave `check_on` out: then a worker checks"


@dataclass(frozen=True)
class ClusterCheck:
    """What the load `load` asks of the records that a spark step writes under `binding`."""

    load: str
    binding: str
    options: LoadOptions


def options_of(step: LoadStep, pipeline: Pipeline) -> LoadOptions:
    """What `step` says of its records, with the format of a dataset of this pipeline."""
    dataset = pipeline.datasets.get(step.load.dataset)
    form = step.format or (dataset.format if dataset is not None else None)
    return LoadOptions.of(step.each() | {"format": form})


def checked_folder(folder: str, load: str) -> str:
    """Where the job that checks `folder` for the step `load` leaves its files, which no reader takes for records."""
    return f"{folder}_checked/{load}/"


def cluster_plan(options: LoadOptions, root: Path) -> str:
    """The plan of the job that checks what `options` ask for.

    :param root: the dags root, from which a suite is found
    :raises FaultError: CHECK_BROKEN when a rule makes no sense or is not one for a cluster; WRONG_USE for all else that
        is not.
    """
    for where, why in cluster_errors(options, root):
        if where[0] not in {"columns", "checks", "suite"}:
            raise fault("WRONG_USE", why)
        raise fault("CHECK_BROKEN", why)
    return _plan(options, rules_of(options, root))


def digest_of(plan: str) -> str:
    """sha256 (hex) of a plan, by which the job names it in its report."""
    return hashlib.sha256(plan.encode("utf-8")).hexdigest()


def cluster_errors(options: LoadOptions, root: Path) -> Iterator[tuple[Where, str]]:
    """What of a load's keys a cluster does not carry out as a worker does: the key's place in the step, and why."""
    if options.format is not None and options.format.type not in {None, "parquet"}:
        yield ("format",), f"a cluster checks Parquet, and the format is {options.format.type}: write Parquet"
    if options.scope:
        yield ("scope",), f"`scope` differs from run to run, and a cluster checks all records: {_WORKERS}"
    if options.skip_bad_files:
        yield ("skip_bad_files",), f"`skip_bad_files` sets a file aside, and a job on a cluster fails: {_WORKERS}"
    for name, column in options.columns.items():
        yield from _unlike(name, column)
    yield from _untyped(options)
    yield from _uncompared(options)
    yield from _not_compiled(options, root)


def _unlike(name: str, column: Column) -> Iterator[tuple[Where, str]]:
    where: Where = ("columns", name)
    for key in ("round", "zone", "null", "epoch"):
        if getattr(column, key):
            yield (*where, key), f"`{key}` of `{name}` is carried out by a worker alone: write the values as they are"
    if column.references is not None:
        yield (*where, "references"), f"`references` of `{name}` is looked up by a load, not on a cluster: {_WORKERS}"
    if column.type is None:
        return
    try:
        type_ = parse_type(column.type)
    except ValueError:
        return  # said elsewhere
    if type_.name not in _TYPES or (type_.precision is not None and type_.is_moment):
        yield (*where, "type"), f"no column on a cluster is {type_}: leave out its type, or `check_on`"
    elif type_.name == "numeric" and type_.is_text:
        yield (*where, "type"), "on a cluster a number has 38 digits at most: say how many, as in numeric(18,2)"


def _untyped(options: LoadOptions) -> Iterator[tuple[Where, str]]:
    """Columns of which more is asked than that they are there, without a type."""
    if options.mode is not Mode.APPEND and options.newest_by is not None:
        yield from _need_type(options, options.newest_by, ("newest_by",))
    for name in options.key:
        yield from _need_type(options, name, ("key",))
    for name, column in options.columns.items():
        if column.type is None:
            asked = column.required or column.unique or any((column.between, column.in_, column.matches))
            if asked and name not in options.key:
                yield from _need_type(options, name, ("columns", name))


def _uncompared(options: LoadOptions) -> Iterator[tuple[Where, str]]:
    """Values of `delete_when` that are not known by their texts."""
    for name, some in options.delete_when.items():
        listed = some if isinstance(some, list | tuple) else [some]
        if not all(value is None or isinstance(value, str | int) for value in listed):
            yield from _need_type(options, name, ("delete_when", name))


def _texts(some: object) -> list[str | None]:
    """The values of a column in `delete_when` as a record would have them."""
    listed = some if isinstance(some, list | tuple) else [some]
    return [None if one is None else str(one).lower() if isinstance(one, bool) else str(one) for one in listed]


def _need_type(options: LoadOptions, name: str, where: Where) -> Iterator[tuple[Where, str]]:
    if options.columns.get(name, Column()).type is None:
        yield where, f"the type of `{name}` has to be known on the cluster: say it, as in `columns: {{{name}: bigint}}`"


def _not_compiled(options: LoadOptions, root: Path) -> Iterator[tuple[Where, str]]:
    """Checks that a cluster cannot carry out, each by itself."""
    for index, check in enumerate(options.checks):
        rule = Rule(check.expectation, dict(check.kwargs))
        yield from _why_not(options, rule, ("checks", index, check.expectation))
    if options.suite is None:
        return
    try:
        suite = rules_of(LoadOptions(suite=options.suite), root)
    except FaultError:
        return  # said elsewhere
    for rule in suite:
        yield from _why_not(options, rule, ("suite",))


def _why_not(options: LoadOptions, rule: Rule, where: Where) -> Iterator[tuple[Where, str]]:
    if untyped := [name for name in rule.columns if options.columns.get(name, Column()).type is None]:
        yield from _need_type(options, untyped[0], where)
        return
    try:
        _plan(LoadOptions(columns=options.columns), [rule])
    except FaultError as refused:
        yield where, refused.detail


def _plan(options: LoadOptions, rules: tuple[Rule, ...] | list[Rule]) -> str:
    columns = {}
    for name, column in options.columns.items():
        if column.type is not None:
            type_ = parse_type(column.type)
            columns[name] = SparkColumn(type_.duck, type_.kind, type_.length)
    form = options.format
    return plan_of(
        columns,
        [rule for rule in rules if rule.expectation != REFERENCES],
        key=() if options.mode is Mode.APPEND else options.key,
        newest_by=options.newest_by,
        window_by=options.window_by,
        delete_when={name: _texts(some) for name, some in options.delete_when.items()},
        partitions=form is None or form.partitions,
        text=options.copy_from is CopyFrom.S3,
    )
