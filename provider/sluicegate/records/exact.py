"""When a number's text is changed by a cast, as DuckDB's SQL. Pure.

Texts are digits with a sign, a point and an exponent; what else DuckDB would read (`0x1F`, `1_000`) is not a number.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from sluicegate.records.types import ColumnType

__all__ = ["CANONICAL", "PLACES", "as_double", "canonical", "canonical_number", "changed", "places"]

CANONICAL = "sluicegate_canonical"
"""The SQL function that `canonical_number` has to be registered as."""
PLACES = "sluicegate_places"
"""The SQL function that `places` has to be registered as."""

_EXPONENT = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}\s*"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?|(?i:nan)"
_WHOLE_UP_TO = {"double": 2**53, "real": 2**24}
"""Up to here all whole numbers are exact."""
_MAX_DIGITS = 10_000
"""Of a number without a precision: far below what Postgres takes, far above what anybody has."""


def changed(type_: ColumnType, rounds: bool, raw: str, value: str) -> list[str]:
    """Conditions, any of which says that `value`, the cast of the text `raw`, is not what was written.

    :param rounds: whether digits behind the last place of the type may go.
    """
    if type_.name in _WHOLE_UP_TO:
        return _changed_float(type_, rounds, raw, value)
    if type_.name == "numeric" and type_.is_text:
        return _changed_text(type_, rounds, raw, value)
    if rounds:
        return [f"NOT regexp_full_match(trim({raw}), '{_NUMBER}')"]
    places = type_.scale or 0
    digits = r"\.0*" if places == 0 else rf"\.[0-9]{{0,{places}}}0*"
    plain = rf"\s*[+-]?([0-9]+({digits})?|{digits})\s*"
    # What is written as DuckDB itself would write it needs no look at its digits.
    return [
        f"CASE WHEN CAST({value} AS VARCHAR) = {raw} THEN false WHEN regexp_full_match({raw}, '{plain}') THEN false "
        f"WHEN regexp_full_match({raw}, '{_EXPONENT}') THEN {PLACES}({raw}) > {places} ELSE true END"
    ]


def _changed_float(type_: ColumnType, rounds: bool, raw: str, value: str) -> list[str]:
    """The nearest double is what a double means; but a whole number written out is meant to the last digit."""
    whole = "false"
    if not rounds:
        exactly = f"coalesce(TRY_CAST({raw} AS HUGEINT) <> TRY_CAST({value} AS HUGEINT), true)"
        whole = f"(NOT contains(lower({raw}), 'e') AND {exactly})"
    return [
        f"CASE WHEN isnan({value}) THEN false WHEN isinf({value}) THEN NOT contains(lower({raw}), 'inf') "
        f"WHEN {value} = 0 THEN regexp_matches({raw}, '^[^eE]*[1-9]') "
        f"WHEN abs({value}) >= {_WHOLE_UP_TO[type_.name]} THEN {whole} ELSE false END",
        f"contains({raw}, '_')",
    ]


def _changed_text(type_: ColumnType, rounds: bool, raw: str, value: str) -> list[str]:
    """Of a `numeric` that is wider than DuckDB's, or has no precision: it travels as the text it is."""
    found = [f"NOT regexp_full_match({value}, '{_NUMBER}')", f"strlen({value}) > {_MAX_DIGITS}"]
    if type_.precision is None:
        return found
    places = type_.scale or 0
    room = type_.precision - places
    rest = "[0-9]*" if rounds else rf"[0-9]{{0,{places}}}0*"
    plain = rf"[+-]?0*[0-9]{{0,{room}}}(\.{rest})?"
    before = f"regexp_extract({value}, '([0-9]*)(?:\\.([0-9]*))?[eE]', 1)"
    exponent = f"CAST(regexp_extract({value}, '[eE]\\+?(-?[0-9]+)', 1) AS INTEGER)"
    wide = f"length(ltrim({before}, '0')) + {exponent} > {room}"
    fine = "false" if rounds else f"{PLACES}({value}) > {places}"
    return [
        *found,
        f"CASE WHEN regexp_full_match({value}, '{plain}') THEN false "
        f"WHEN regexp_full_match({value}, '{_EXPONENT}') THEN {wide} OR {fine} ELSE true END",
    ]


def places(text: str) -> int:
    """How many digits behind the point a number with an exponent needs: 2 of `125e-2`, 0 of `1.5e3`."""
    number = Decimal(text.strip()).normalize()
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return 0 if not number else max(0, -exponent)


def as_double(text: str) -> str:
    """SQL that is true where `text` is a number that reads back from a double as it is written, digit by digit."""
    written = _digits(text)
    read = _digits(f"CAST(TRY_CAST({text} AS DOUBLE) AS VARCHAR)")
    # Fifteen digits always do.
    return f"CASE WHEN strlen({text}) <= 15 THEN true ELSE {written} = {read} END"


def canonical(text: str) -> str:
    """SQL of a number's text in the one form that all texts of the same number have."""
    usual = r"(0|-?[1-9][0-9]*)(\.[0-9]*[1-9])?|-0\.[0-9]*[1-9]"
    return f"CASE WHEN regexp_full_match({text}, '{usual}') THEN {text} ELSE {CANONICAL}({text}) END"


def canonical_number(text: str) -> str:
    """`text` without an exponent and without zeros that say nothing; as it is where it is not a number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return str(number)
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if number == 0 else plain


def _digits(text: str) -> str:
    mantissa = f"regexp_replace(regexp_replace({text}, '[eE].*', ''), '[^0-9]', '', 'g')"
    return f"trim({mantissa}, '0')"
