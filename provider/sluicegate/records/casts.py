"""How one column's raw values become values of its type, as DuckDB's SQL. Pure: no DuckDB here.

A value never changes silently: what a cast would round, cut or shift makes the cast fail, which sets the record
aside, unless the column's options allow it. A typed value (Parquet) of another family is read as its text would be,
so that the same records come out the same from every format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sluicegate.checks.sql import literal
from sluicegate.graph.cron import zone as zone_of
from sluicegate.pipeline.keys.model import Column
from sluicegate.records import exact, moments
from sluicegate.records.arrays import array_of
from sluicegate.records.notation import PLAIN, Epoch, Notation, from_epoch
from sluicegate.records.types import ColumnType

__all__ = ["Cast", "misfits"]

TEXT = "VARCHAR"
"""DuckDB's type of a raw value that is a text, as all are in CSV and JSON lines."""
_INTEGERS = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
}  # fmt: skip
_FLOATS = {"FLOAT", "DOUBLE"}
# What DuckDB takes for JSON, and databases do not: NaN, Infinity, a trailing comma, a number beyond any.
_NO_JSON = r"(?i)nan|inf|,\s*[\]}]|e[+-]?[0-9]{5}"
_MAYBE_NO_JSON = r"(?i)(^|[-:,\[\s])(nan|inf)|,\s*[\]}]|[0-9]e[+-]?[0-9]{5}"
_STRINGS = r'"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class Cast:
    """A column's type and what its contract allows.

    `round`: digits that the type has no room for may be rounded, and times cut. `zone`: the time zone of the local
    times in this column. `null`: texts that mean NULL. `epoch`: the unit of numbers that are moments. `notation`: how
    the source writes numbers and dates.
    """

    type: ColumnType
    round: bool = False
    zone: str | None = None
    null: tuple[str, ...] = ()
    epoch: Epoch | None = None
    notation: Notation = PLAIN

    def written(self, raw: str, kind: str, notation: Notation) -> tuple[str, str]:
        """`raw` and its `kind` once it is written as `value` and `lost` read it."""
        if self.epoch is not None and kind not in moments.KINDS and self.type.is_moment:
            zoned = self.type.name == "timestamptz" or self.zone is not None
            return from_epoch(_as_text(raw, kind), self.epoch, zoned=zoned), TEXT
        return (notation.of_type(raw, self.type), kind) if kind == TEXT else (raw, kind)

    def present(self, raw: str, kind: str) -> str:
        """SQL of the raw value, of DuckDB's type `kind`, where it is not one of those that mean NULL."""
        if not self.null:
            return raw
        texts = dict.fromkeys(self.null)
        if any(text.lower() == "nan" for text in self.null):
            texts |= dict.fromkeys(("NaN", "nan"))
        return f"CASE WHEN {_as_text(raw, kind)} NOT IN ({', '.join(map(literal, texts))}) THEN {raw} END"

    def value(self, raw: str, kind: str) -> str:
        """SQL of the value, NULL where `raw`, SQL of a value of DuckDB's type `kind`, is not one."""
        name = self.type.name
        if name in moments.NAMES:
            return moments.made(self.type, self.zone, *self._moment(raw, kind))
        if name == "numeric" and self.type.is_text:
            return f"trim({_as_text(raw, kind)}, E' \\t\\n\\r\\v\\f')"
        if self.type.is_array:
            return array_of(self.type, _as_text(raw, kind))
        if self.type.is_text:
            return _as_text(raw, kind)
        duck = self.type.duck
        if self._is_native(kind):
            return f"TRY_CAST({raw} AS {duck})"
        text = f"TRY_CAST({_as_text(raw, kind)} AS {duck})"
        few = self._has_few_digits(raw, kind)
        return text if few is None else f"CASE WHEN {few} THEN TRY_CAST({raw} AS {duck}) ELSE {text} END"

    def lost(self, raw: str, value: str, kind: str, *, refused: Sequence[str] = ()) -> str | None:
        """SQL that is true where `raw` has a value that the cast loses or changes, never NULL; None if no cast can.

        :param refused: conditions under which the target cannot store the value.
        """
        faults = [*self._changed(raw, value, kind), *refused]
        if not self.type.is_text or self.type.is_array:
            faults.insert(0, f"{value} IS NULL")
        return f"({raw} IS NOT NULL AND coalesce({' OR '.join(faults)}, false))" if faults else None

    def _changed(self, raw: str, value: str, kind: str) -> list[str]:
        type_ = self.type
        if type_.name in moments.NAMES:
            return moments.changed(type_, self.zone, self.round, *self._moment(raw, kind), value)
        if type_.is_number:
            if self._is_native(kind):
                return self._changed_number(raw, value, kind)
            changed = exact.changed(type_, self.round, _as_text(raw, kind), value)
            if (few := self._has_few_digits(raw, kind)) is None:
                return changed
            return [f"CASE WHEN {few} THEN CAST({value} AS DOUBLE) <> {raw} ELSE {' OR '.join(changed)} END"]
        if type_.name in {"varchar", "char"} and type_.length is not None:
            return [f"length({value}) > {type_.length}"]
        if type_.name in {"json", "jsonb"}:
            return _no_json(value)
        if type_.is_array:
            return [f"NOT regexp_matches({value}, '^[\\s\\v]*[{{[]')"]
        return []

    def _changed_number(self, raw: str, value: str, kind: str) -> list[str]:
        """For a number that DuckDB itself turns into another one: `_is_native`."""
        if kind == self.type.duck:
            return []
        if kind in _FLOATS and self.type.duck != "DOUBLE":
            return [f"NOT isfinite({raw})", f"CAST({value} AS DOUBLE) <> {raw}"]
        if kind.startswith("DECIMAL") and not self.round:
            return [f"coalesce(TRY_CAST({value} AS {kind}) <> {raw}, true)"]
        if self.type.duck in _FLOATS and kind in _INTEGERS and not self.round:
            same = f"TRY_CAST({value} AS HUGEINT) <> TRY_CAST({raw} AS HUGEINT)"
            return [f"coalesce({same}, true)"]
        return []

    def _is_native(self, kind: str) -> bool:
        """Whether DuckDB's own cast from `kind`, with `_changed`, means the same as one of the value's text."""
        duck, name = self.type.duck, self.type.name
        if self.type.is_text:
            return False
        if kind == duck or (kind in _INTEGERS and self.type.is_number):
            return True
        if kind.startswith("DECIMAL"):
            return name in {"smallint", "integer", "bigint", "numeric"}
        if kind == "FLOAT":
            return duck == "DOUBLE"
        return kind == "DOUBLE" and not self.round and name in {"smallint", "integer", "bigint"}

    def _has_few_digits(self, raw: str, kind: str) -> str | None:
        """SQL of whether a double is a decimal of the type where it reads back as it: up to fifteen digits. None where
        that is not asked.
        """
        type_, scale = self.type, self.type.scale or 0
        if kind != "DOUBLE" or self.round or type_.name != "numeric" or type_.is_text or scale > 14:
            return None
        return f"abs({raw}) < 1e{15 - scale}"

    def _moment(self, raw: str, kind: str) -> tuple[str, str]:
        """`raw` and its kind as `moments` takes them: a moment, or a text."""
        native = kind in moments.KINDS and not (self.round and kind.endswith("_NS"))
        return (raw, kind) if native and moments.reads(self.type, kind) else (_as_text(raw, kind), TEXT)


def misfits(type_: ColumnType | None, column: Column) -> Iterator[tuple[str, str]]:
    """Options of a column that say nothing about its type, or name no time zone: the key, and why."""
    if column.round and type_ is not None and not type_.is_number and type_.name not in moments.NAMES:
        yield "round", f"`round` is for numbers, dates and times, and this column is {type_}"
    if column.epoch is not None and type_ is not None and not type_.is_moment:
        yield "epoch", f"`epoch` is for timestamps and dates, and this column is {type_}"
    if column.zone is None:
        return
    if type_ is not None and not type_.is_moment:
        yield "zone", f"`zone` is for timestamps and dates, and this column is {type_}"
    try:
        zone_of(column.zone)
    except ValueError as error:
        yield "zone", str(error)


def _as_text(raw: str, kind: str) -> str:
    return raw if kind == TEXT else f"CAST({raw} AS VARCHAR)"


def _no_json(value: str) -> list[str]:
    bare = f"regexp_replace({value}, '{_STRINGS}', '', 'g')"
    return [
        f"NOT json_valid({value})",
        f"CASE WHEN regexp_matches({value}, '{_MAYBE_NO_JSON}') THEN regexp_matches({bare}, '{_NO_JSON}') "
        "ELSE false END",
    ]
