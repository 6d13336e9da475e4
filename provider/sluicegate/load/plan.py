"""Which columns a load brings, with which types: the pipeline's words, else the target's, else the file's.

Decides only; what the file's types are is asked through a function, and only for columns that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from sluicegate.checks.rule import Rule
from sluicegate.faults import fault
from sluicegate.load.letters import MASK
from sluicegate.load.request import LoadRequest
from sluicegate.pipeline.diagnostics import hint
from sluicegate.pipeline.keys.model import Mode, OnSchemaChange
from sluicegate.records.scope import as_values
from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.target import Table

__all__ = ["match_case", "plan_columns", "rules_of_target", "takes", "unwritten"]

_NOTHING_OF_IT = "the source has none of the columns that the pipeline names"
_BYTES = {"bytea", "binary", "varbyte"}
"""What targets call bytes, whose order their hexadecimal digits have too."""
_SHOWN = 50
"""How many of the source's columns a message lists."""


def match_case(table: Table, names: Sequence[str]) -> dict[str, str]:
    """The source's columns by those of `table` that are called the same but for case, where there is no doubt."""
    free = [name for name in table.columns if name not in names]
    lacking = [name for name in names if name not in table.columns]
    found = {}
    for own in free:
        alike = [name for name in lacking if name.casefold() == own.casefold()]
        if len(alike) == 1 and sum(name.casefold() == own.casefold() for name in free) == 1:
            found[own] = alike[0]
    return found


def plan_columns(
    request: LoadRequest,
    table: Table,
    names: Sequence[str],
    infer: Callable[[Sequence[str]], Mapping[str, ColumnType]],
    unusable: Callable[[str], str | None] = lambda name: None,
) -> dict[str, ColumnType]:
    """The columns to load, in the source's order, each with the type its values are cast to.

    :param names: the source's columns.
    :param unusable: why the target can have no column of that name.
    :raises FaultError: SCHEMA_MISMATCH, with all mismatches at once, when source, `columns:`, key and target do not
        go together.
    """
    shown = _shown(request, table, names)
    mismatches = _missing(_named(request), names, shown)
    beside = unwritten(request, table)
    extra = [name for name in names if table.exists and name not in table.columns and name not in beside]
    if extra and request.on_schema_change is OnSchemaChange.FAIL:
        mismatches += [
            f"{table.name} has no column {shown[name]!r}, which the source has{hint(shown[name], table.columns)}"
            for name in extra
        ]
        mismatches.append("`on_schema_change: add_columns` or `ignore` says what becomes of new columns")
    kept = [name for name in names if not (name in extra and request.on_schema_change is OnSchemaChange.IGNORE)]
    for name, column in table.columns.items():
        if name in kept and name not in beside and not column.written:
            mismatches.append(f"column {name!r} of {table.name} is computed by the database; take it out of the source")
        if name not in kept and not column.fillable:
            mismatches.append(f"column {name!r} of {table.name} must not be empty, and the source does not have it")
    mismatches += [
        f"{what} {name!r} is not a column that {table.name} takes"
        for what, some in (
            ("key", request.key),
            ("newest_by", [request.newest_by] if request.newest_by else []),
            ("window_by", [request.window_by] if request.window_by else []),
        )
        for name in some
        if name in names and name not in kept
    ]
    if request.mode is Mode.REPLACE_WINDOW and (unknown := sorted(beside & {*request.scope})):
        some = ", ".join(map(repr, unknown))
        mismatches.append(f"scope: {table.name} has no column {some}, so it is unknown which of its rows to replace")
    mismatches += [
        f"the column {shown[name]!r} {why}: rename it in the source"
        for name in kept
        if name not in table.columns and name not in beside and (why := unusable(name)) is not None
    ]
    if mismatches:
        who = "it" if mismatches[-1] == _NOTHING_OF_IT else "the source"
        some = ", ".join(repr(shown[name]) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        detail = f"{'; '.join(dict.fromkeys(mismatches))}; {who} has {some}"
        raise fault("SCHEMA_MISMATCH", detail, uri=request.source)
    types = {name: parse_type(column.type) for name, column in request.columns.items() if column.type is not None}
    counted = [name for name, column in request.columns.items() if column.epoch and name not in table.columns]
    types |= {name: parse_type("timestamptz") for name in counted if name not in types}
    types |= {name: ColumnType("text") for name in beside if name not in types and _is_asked_by_text(request, name)}
    planned = {name: _of_target(table, name, types.get(name)) for name in kept}
    inferred = infer([name for name, type_ in planned.items() if type_ is None])
    types = {name: type_ or inferred[name] for name, type_ in planned.items()}
    if request.newest_by is not None:
        _require_order(request, types[request.newest_by])
    return types


def _require_order(request: LoadRequest, type_: ColumnType) -> None:
    """:raises FaultError: SCHEMA_MISMATCH when `newest_by` does not say which of two records is newer: those of one
    file are compared before the target sees them, and the order of a type of the target's own is not known here.
    """
    if type_.name in {"json", "jsonb"} or (type_.name == "foreign" and type_.native not in _BYTES):
        detail = f"newest_by: {request.newest_by!r} is of the type {type_}, whose order is not known before the target "
        detail += "has the records: take a number, a text, a date or a timestamp"
        raise fault("SCHEMA_MISMATCH", detail, uri=request.source)


def unwritten(request: LoadRequest, table: Table) -> frozenset[str]:
    """The columns that are read for what they say of a record, and that the table is not given."""
    said = {*request.delete_when} - {*request.columns, *request.key, request.newest_by}
    beside = {name for name in said if name not in table.columns or not table.columns[name].written}
    if table.exists and request.on_schema_change is OnSchemaChange.IGNORE:
        needed = {*request.key, request.newest_by, request.window_by}
        asked = {*request.delete_when, *request.scope} - needed
        beside |= {name for name in asked if name not in table.columns}
    return frozenset(beside)


def _is_asked_by_text(request: LoadRequest, name: str) -> bool:
    """Whether a value is asked for that a file may well not have: if all others are numbers, they stay texts."""
    some = {**as_values(request.scope), **as_values(request.delete_when)}[name]
    return any(isinstance(value, str) for value in some)


def rules_of_target(table: Table, names: Collection[str]) -> list[Rule]:
    """What the target itself would refuse of the columns `names`: set aside, it does not stop the load."""
    there = {name: column for name, column in table.columns.items() if name in names}
    required = [
        Rule("expect_column_values_to_not_be_null", {"column": name})
        for name, column in there.items()
        if column.required
    ]
    labels = [
        Rule("expect_column_values_to_be_in_set", {"column": name, "value_set": list(column.labels)})
        for name, column in there.items()
        if column.labels
    ]
    return [*required, *labels]


def _of_target(table: Table, name: str, declared: ColumnType | None) -> ColumnType | None:
    """The declared type where the target takes all of its values unchanged; else, within one family of types, the
    target's, which is the narrower: what does not fit into it is then set aside and does not stop the load.
    """
    column = table.columns.get(name)
    if column is None:
        return declared
    if declared is None or column.type == declared:
        return column.type
    if takes(column.type, declared):
        return declared
    if any({column.type.name, declared.name} <= family for family in _FAMILIES):
        return column.type
    raise fault(
        "SCHEMA_MISMATCH",
        f"columns.{name} says {declared}, and in {table.name} it is {column.type}; make them agree",
    )


_WIDTH = {"smallint": 1, "integer": 2, "bigint": 3}
_FAMILIES = (
    {*_WIDTH}, {"numeric"}, {"real", "double"}, {"text", "varchar", "char"}, {"json", "jsonb"}, {"time"}, {"timestamp"},
    {"timestamptz"},
)  # fmt: skip


def takes(target: ColumnType, declared: ColumnType) -> bool:
    """Whether every value of `declared` fits into `target` unchanged, also when it is read back and compared."""
    if target.name in _WIDTH and declared.name in _WIDTH:
        return _WIDTH[declared.name] <= _WIDTH[target.name]
    if target.name == "numeric":
        if target.precision is None:
            return declared.name in {"numeric", *_WIDTH}
        if declared.name != "numeric" or declared.precision is None:
            return False
        whole = (target.precision - (target.scale or 0), declared.precision - (declared.scale or 0))
        return whole[0] >= whole[1] and (target.scale or 0) >= (declared.scale or 0)
    if target.name == "double":
        return declared.name in {"smallint", "integer"}
    if target.name in {"time", "timestamp", "timestamptz"} and target.name == declared.name:
        digits = (6 if type_.precision is None else type_.precision for type_ in (target, declared))
        return next(digits) >= next(digits)
    return target.name == "text" and declared.name in {"varchar", "json", "uuid"}


def _named(request: LoadRequest) -> dict[str, str]:
    """Columns that the request names, with where. A check that names an unknown one says so itself."""
    named = dict.fromkeys(request.columns, "columns:")
    named |= dict.fromkeys(request.key, "key:")
    if request.newest_by is not None:
        named[request.newest_by] = "newest_by:"
    if request.window_by is not None:
        named[request.window_by] = "window_by:"
    named |= dict.fromkeys(request.scope, "scope:")
    named |= dict.fromkeys(request.delete_when, "delete_when:")
    return named


def _shown(request: LoadRequest, table: Table, names: Sequence[str]) -> dict[str, str]:
    """The source's columns as messages show them. Where one is missing that is sensitive, what looks like a header may
    be a record: then only names that are known are shown.
    """
    if all(name in names or not column.sensitive for name, column in request.columns.items()):
        return {name: name for name in names}
    known = {*_named(request), *table.columns}
    return {name: name if name in known else MASK for name in names}


def _missing(named: Mapping[str, str], names: Sequence[str], shown: Mapping[str, str]) -> list[str]:
    """What is named and the source does not have; where it has nothing of it, that alone."""
    missing = {name: where for name, where in named.items() if name not in names}
    if len(missing) > 1 and len(missing) == len(named):
        return [_NOTHING_OF_IT]
    return [
        f"the source has no column {name!r}, which {where} names{hint(name, shown.values())}"
        for name, where in missing.items()
    ]
