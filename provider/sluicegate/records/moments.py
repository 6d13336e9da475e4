"""Dates, times and timestamps: their casts, and when one would cut or shift a value, as DuckDB's SQL. Pure."""

from __future__ import annotations

from sluicegate.checks.sql import literal
from sluicegate.records.types import ColumnType

__all__ = ["KINDS", "NAMES", "changed", "made", "reads"]

NAMES = {"date", "time", "timestamp", "timestamptz"}
"""The types that are judged here."""

KINDS = {
    "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMPTZ_NS",
}  # fmt: skip
"""DuckDB's types of raw values that are moments already."""
_ZONED = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"}
_DAY = r"[0-9]{4}[-/ \\][0-9]{1,2}[-/ \\][0-9]{1,2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]*)?)?"
_LOCAL = rf"\s*(-?infinity|epoch|{_DAY}([T ]{_CLOCK})?)\s*"
_MIDNIGHT = rf"\s*(-?infinity|epoch|{_DAY}([T ]0?0:0?0(:0?0(\.0*)?)?)?)\s*"
_USUAL = r".{11}[0-9]{2}:[0-9]{2}:[0-9]{2}"
"""Of what begins with a day. DuckDB reads `12: 1:30` as 12:00:00."""
_FINE = r"\.[0-9]{6}0*[1-9]"
"""A moment with nanoseconds."""
_SHIFTS = ("60 MINUTE", "30 MINUTE")
"""By how much clocks are put back."""


def reads(type_: ColumnType, kind: str) -> bool:
    """Whether a raw value of `kind` is made a `type_` as it is, rather than by its text."""
    return (type_.name == "time") == (kind == "TIME")


def made(type_: ColumnType, zone: str | None, raw: str, kind: str) -> str:
    """SQL of the value; NULL where `raw` is none. `kind` is VARCHAR or one of `KINDS` that `reads` says yes to."""
    if type_.name == "time" or zone is None:
        return f"TRY_CAST({raw} AS {type_.duck})"
    local, instant = f"TRY_CAST({raw} AS TIMESTAMP)", f"TRY_CAST({raw} AS TIMESTAMPTZ)"
    if type_.name == "timestamptz":
        plain, other = _shift(local, zone), instant
    else:
        plain, other = f"TRY_CAST({raw} AS {type_.duck})", f"CAST({_shift(instant, zone)} AS {type_.duck})"
    if kind == "VARCHAR":
        return f"CASE WHEN {_is_local(raw)} THEN {plain} ELSE {other} END"
    return other if kind in _ZONED else plain


def changed(type_: ColumnType, zone: str | None, rounds: bool, raw: str, kind: str, value: str) -> list[str]:
    """Conditions, any of which says that `value`, which `made` gives, is not what was written."""
    if type_.name == "time":
        return [*_changed_clock(rounds, raw, kind), *_finer(type_, rounds, value)]
    # 13-02-11 is the year 13 to DuckDB, which is never meant. Postgres has infinity as well. Compared with moments:
    # the year of one with a zone would be looked up in a calendar.
    first, last = (f"CAST('{year}-01-01' AS {type_.duck})" for year in ("0100", "10000"))
    found = [f"(isfinite({value}) AND ({value} < {first} OR {value} >= {last}))"]
    if type_.name == "date":
        found += _changed_day(zone, rounds, raw, kind, value)
    else:
        found += _changed_zone(type_, zone, raw, kind, value)
        if not rounds:
            found += _changed_fraction(raw, kind)
        found += _finer(type_, rounds, value)
    return found


def _changed_day(zone: str | None, rounds: bool, raw: str, kind: str, value: str) -> list[str]:
    """A time of the day is cut off only where that is said; a moment has no day before its zone is known."""
    if kind == "DATE":
        return []
    if kind in _ZONED:
        if zone is None:
            return ["true"]
        return [] if rounds else [f"{_shift(raw, zone)} <> CAST({value} AS TIMESTAMP)", *_changed_fraction(raw, kind)]
    if kind != "VARCHAR":
        return [] if rounds else [f"CAST({value} AS {kind}) <> {raw}"]
    if zone is None:
        form = _LOCAL if rounds else _MIDNIGHT
        return [f"CASE WHEN strlen({raw}) <= 10 THEN false ELSE NOT regexp_full_match({raw}, '{form}') END"]
    if rounds:
        return []
    instant = f"{_shift(f'TRY_CAST({raw} AS TIMESTAMPTZ)', zone)} <> CAST({value} AS TIMESTAMP)"
    midnight = f"NOT regexp_full_match({raw}, '{_MIDNIGHT}')"
    return [f"CASE WHEN {_is_local(raw)} THEN {midnight} ELSE {instant} END", f"regexp_matches({raw}, '{_FINE}')"]


def _changed_zone(type_: ColumnType, zone: str | None, raw: str, kind: str, value: str) -> list[str]:
    if type_.name == "timestamp":
        if zone is not None or (kind != "VARCHAR" and kind not in _ZONED):
            return []
        return [f"NOT {_is_local(raw)}" if kind == "VARCHAR" else "true"]
    if zone is None or kind in _ZONED:
        return []
    local = f"TRY_CAST({raw} AS TIMESTAMP)"
    shifts = [f"{value} {sign} INTERVAL {shift}" for shift in _SHIFTS for sign in "+-"]
    twice = " OR ".join(f"{_shift(f'({moved})', zone)} = {local}" for moved in shifts)
    wrong = f"({_shift(value, zone)} <> {local} OR {twice})"
    return [f"CASE WHEN {_is_local(raw)} THEN {wrong} ELSE false END" if kind == "VARCHAR" else wrong]


def _changed_clock(rounds: bool, raw: str, kind: str) -> list[str]:
    if kind != "VARCHAR":
        return []
    usual = f"strlen({raw}) = 8 AND substr({raw}, 3, 1) = ':' AND substr({raw}, 6, 1) = ':'"
    found = [f"CASE WHEN {usual} THEN false ELSE NOT regexp_full_match({raw}, '\\s*{_CLOCK}\\s*') END"]
    return found if rounds else [*found, f"regexp_matches({raw}, '{_FINE}')"]


def _changed_fraction(raw: str, kind: str) -> list[str]:
    """Nanoseconds, of which neither DuckDB's nor Postgres' timestamps keep more than thousands."""
    if kind == "VARCHAR":
        return [f"CASE WHEN strlen({raw}) > 26 THEN regexp_matches({raw}, '{_FINE}') ELSE false END"]
    return [f"epoch_ns({raw}) % 1000 <> 0"] if kind.endswith("_NS") else []


def _finer(type_: ColumnType, rounds: bool, value: str) -> list[str]:
    """What a `timestamp(3)` of the target would round."""
    if type_.precision is None or type_.precision >= 6 or rounds:
        return []
    return [f"microsecond({value}) % {10 ** (6 - type_.precision)} <> 0"]


def _is_local(raw: str) -> str:
    """Whether a text has no zone: 2024-03-31 02:30:00 by its end, others by their form."""
    usual = f"strlen({raw}) = 19 AND regexp_full_match({raw}, '{_USUAL}')"
    return f"CASE WHEN {usual} THEN true ELSE regexp_full_match({raw}, '{_LOCAL}') END"


def _shift(moment: str, zone: str) -> str:
    """A local time in `zone` as a moment, or a moment as a local time there."""
    return f"timezone({literal(zone)}, {moment})"
