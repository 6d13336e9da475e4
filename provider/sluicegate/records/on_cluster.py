"""A load whose records are checked on a cluster: the plan for the job there, and where it leaves what comes of it.

The spark step and the load make the same plan of the same keys, and know by its digest that they mean one thing. What
is asked when a file is read (`cluster_errors`) is pure; a plan is made when a step runs, with a DuckDB for its values.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from sluicegate.checks.bounds import broken
from sluicegate.checks.contract import rules_of
from sluicegate.checks.rule import REFERENCES, Rule
from sluicegate.checks.spark import Constants, SparkColumn, plan_of
from sluicegate.faults import FaultError, fault
from sluicegate.graph.window import Window
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.load import Column, CopyFrom, LoadOptions, Mode
from sluicegate.pipeline.keys.model import LoadStep, Pipeline
from sluicegate.records.engine import open_duckdb
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.records.scope import as_values, read_values, rendered_scope
from sluicegate.records.types import ColumnType, parse_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ClusterCheck", "checked_folder", "cluster_errors", "cluster_plan", "digest_of", "options_of"]

_JSON = {"json", "jsonb"}
_SAID_AS_TEXTS = {"BOOLEAN", "TIME", "UUID"}
"""Types of which a file says values as texts, whatever they are."""
_YEAR = re.compile(r"[0-9]{4}-[^(]*")
"""How a moment begins that Spark reads, and that a record may have."""
_WORKERS = "leave `check_on` out: then a worker checks"


@dataclass(frozen=True)
class ClusterCheck:
    """What the load `load` asks of the records that a spark step writes under `binding`."""

    load: str
    binding: str
    options: LoadOptions

    def narrowed(self, window: Window, params: Mapping[str, Any]) -> Self:
        """With the templates of its `scope` filled in, as the load of the same run fills them in.

        :raises FaultError: WRONG_USE when one cannot be.
        """
        scope = rendered_scope(self.options.scope, window, params)
        return replace(self, options=self.options.model_copy(update={"scope": scope}))


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

    :param options: with a `scope` without templates
    :param root: the dags root, from which a suite is found
    :raises FaultError: CHECK_BROKEN when a rule makes no sense or is not one for a cluster; WRONG_USE for all else that
        is not, a value of `scope` or `delete_when` that is not of its column's type among it.
    """
    for where, why in cluster_errors(options, root):
        if where[0] not in {"columns", "checks", "suite"}:
            raise fault("WRONG_USE", why)
        raise fault("CHECK_BROKEN", why)
    return _plan(options, rules_of(options, root), _require)


def digest_of(plan: str) -> str:
    """sha256 (hex) of a plan, by which the job names it in its report."""
    return hashlib.sha256(plan.encode("utf-8")).hexdigest()


def cluster_errors(options: LoadOptions, root: Path) -> Iterator[tuple[Where, str]]:
    """What of a load's keys a cluster does not carry out as a worker does: the key's place in the step, and why."""
    if options.format is not None and options.format.type not in {None, "parquet"}:
        yield ("format",), f"a cluster checks Parquet, and the format is {options.format.type}: write Parquet"
    if options.skip_bad_files:
        yield ("skip_bad_files",), f"`skip_bad_files` sets a file aside, and a job on a cluster fails: {_WORKERS}"
    for name, column in options.columns.items():
        yield from _unlike(name, column)
    yield from _unscoped(options)
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
    if type_.name == "numeric" and type_.is_text:
        yield (*where, "type"), "on a cluster a number has 38 digits at most: say how many, as in numeric(18,2)"


def _unscoped(options: LoadOptions) -> Iterator[tuple[Where, str]]:
    """Columns of `scope` whose values a cluster cannot compare as a worker does."""
    for name in options.scope:
        yield from _need_type(options, name, ("scope", name))
        if name in (types := _types(options)) and types[name].name in _JSON:
            yield ("scope", name), f"whether `{name}` is JSON is asked by the load, and `scope` before it: {_WORKERS}"


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


def _types(options: LoadOptions) -> dict[str, ColumnType]:
    """The columns that have a type, and one that there is."""
    found = {}
    for name, column in options.columns.items():
        if column.type is not None:
            try:
                found[name] = parse_type(column.type)
            except ValueError:
                continue  # said elsewhere
    return found


def _texts(
    said: Mapping[str, Any], types: Mapping[str, ColumnType], options: LoadOptions
) -> dict[str, list[str | None]]:
    """By column, values as texts that Spark reads as what DuckDB reads them, None for a missing one. What no record on
    a cluster can have, such as an infinite day, is left out; of a column without a type they are as they are said.
    """
    values = as_values(said)
    typed = {name: some for name, some in values.items() if name in types}
    plain: Mapping[str, tuple[str | None, ...]] = {}
    if typed:
        with _duckdb() as duck:
            plain = read_values(duck, typed, types, options.columns)
    found: dict[str, list[str | None]] = {}
    for name, some in values.items():
        if name not in plain:
            texts = (str(one).lower() if isinstance(one, bool) else one for one in some)
            found[name] = [None if one is None else str(one) for one in texts]
        else:
            is_moment = types[name].is_moment
            found[name] = [one for one in plain[name] if one is None or not is_moment or _YEAR.fullmatch(one)]
    return found


@contextmanager
def _duckdb() -> Iterator[DuckDBPyConnection]:
    """What reads values as a load does."""
    with TemporaryDirectory(prefix="sluicegate-") as folder, open_duckdb(Path(folder), MEMORY_LIMIT) as duck:
        yield duck


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


def _require(rule: Rule, constants: Constants) -> None:
    """Refuse what Spark would refuse in the middle, or never find."""
    asked = [one for one in constants if one[1] in _SAID_AS_TEXTS]
    if not asked:
        return
    with _duckdb() as duck:
        for text, type_ in asked:
            if duck.execute(f"SELECT TRY_CAST(? AS {type_})", [text]).fetchone() == (None,):
                raise broken(rule, f"{text!r} is not a {type_.lower()}, which {rule.columns[0]!r} is")


def _plan(
    options: LoadOptions,
    rules: Sequence[Rule],
    require: Callable[[Rule, Constants], None] = lambda rule, constants: None,
) -> str:
    types = _types(options)
    columns = {
        name: SparkColumn(type_.duck, type_.kind, type_.length, digits=None if type_.is_number else type_.precision)
        for name, type_ in types.items()
    }
    form = options.format
    return plan_of(
        columns,
        [rule for rule in rules if rule.expectation != REFERENCES],
        key=() if options.mode is Mode.APPEND else options.key,
        newest_by=options.newest_by,
        window_by=options.window_by,
        scope=_texts(options.scope, types, options),
        delete_when=_texts(options.delete_when, types, options),
        partitions=form is None or form.partitions,
        text=options.copy_from is CopyFrom.S3,
        require=require,
    )
