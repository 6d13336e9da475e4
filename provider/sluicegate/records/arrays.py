"""Lists of JSON as the array literals that Postgres reads. Pure.

A literal never begins as a list of JSON does: `[0:1]={1,2}`, with its bounds in front, is not JSON.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

from sluicegate.checks.sql import literal
from sluicegate.records.exact import places
from sluicegate.records.types import ColumnType, parse_type

__all__ = ["ARRAY", "NoArrayError", "array_literal", "array_of", "literal_or_none"]

ARRAY = "sluicegate_array"
"""The SQL function that `literal_or_none` has to be registered as."""
_WHOLE = r"\[(-?(0|[1-9][0-9]*)(,-?(0|[1-9][0-9]*))*)?\]"
_EXACT = {"smallint", "integer", "bigint"}
_MOMENTS = {"date", "time", "timestamp", "timestamptz"}
_CLOCK = re.compile(r"(?P<day>.*?)\d+:\d\d(?::\d\d(?:\.(?P<fraction>\d*))?)?(?P<rest>.*)", re.DOTALL)
_DAY = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}\s*")
_DEEPEST = 6
_NAME = 63
"""Bytes that a `name` keeps."""
_SHOWN = 60


class NoArrayError(ValueError):
    """A list that is not an array of the type, and why."""


class _Token(str):
    """A number as it is written."""

    __slots__ = ()


def array_of(type_: ColumnType, text: str) -> str:
    """SQL of the literal of `text`, SQL of a text; of what is not a list, the text itself; NULL of a list that is not
    an array of the type.
    """
    made = f"{ARRAY}({text}, {literal(str(type_.native))})"
    if _of(str(type_.native)) in _EXACT:
        # Most lists are of whole numbers, and DuckDB itself is quicker.
        quick = f"translate({text}, '[]', '{{}}')"
        made = f"CASE WHEN regexp_full_match({text}, '{_WHOLE}') THEN {quick} ELSE {made} END"
    return f"CASE WHEN starts_with({text}, '[') THEN {made} ELSE {text} END"


def literal_or_none(text: str, native: str) -> str | None:
    """`array_literal`, or None of a list that is not an array."""
    try:
        return array_literal(text, native)
    except NoArrayError:
        return None


def array_literal(text: str, native: str) -> str:
    """The literal of a list of JSON; `text` itself where it is not one.

    :param native: the array's type as Postgres calls it.
    :raises NoArrayError: when the list is not an array of the type.
    """
    element = native.removesuffix("[]")
    try:
        text.encode()
        values = json.loads(text, parse_float=_Token, parse_int=_Token, parse_constant=_Token)
        if not isinstance(values, list):
            return text
        if element in {"json", "jsonb"}:
            return _braced([_quoted(each) for each in _slices(text)], ",")
        return _array(values, element)
    except json.JSONDecodeError:
        return text
    except RecursionError as error:
        raise NoArrayError(f"lists are nested more than {_DEEPEST} deep") from error
    except UnicodeEncodeError as error:
        raise NoArrayError("it has half of a character (a surrogate)") from error


def _array(values: Sequence[object], element: str) -> str:
    if values:
        _shape(values, 1)
    try:
        of = parse_type(element)
    except ValueError:
        of = ColumnType("foreign", native=element)
    written = _list(values, of, ";" if element == "box" else ",")
    written.encode()
    return written


def _list(values: Sequence[object], of: ColumnType, delimiter: str) -> str:
    return _braced(
        [_list(each, of, delimiter) if isinstance(each, list) else _element(each, of) for each in values], delimiter
    )


def _shape(values: Sequence[object], depth: int) -> tuple[int, ...]:
    """The lengths of a list and of those inside, which have to be alike."""
    if depth > _DEEPEST:
        raise NoArrayError(f"lists are nested more than {_DEEPEST} deep")
    inside = {_shape(each, depth + 1) if isinstance(each, list) else () for each in values}
    if len(inside) > 1:
        raise NoArrayError("the lists inside are not all of one length, as those of an array are")
    if depth > 1 and not values:
        raise NoArrayError("a list inside is empty, and an array has none that is")
    return (len(values), *next(iter(inside), ()))


def _element(value: object, of: ColumnType) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise NoArrayError(f"an object is in the list, and it is to be of {of}")
    if "\0" in value:
        raise NoArrayError("it has the character U+0000, which Postgres does not store")
    if (why := _changed(value, of)) is not None:
        raise NoArrayError(f"{_shown(value)} {why}")
    if isinstance(value, _Token):
        return re.sub(r"\.0+$", "", value) if of.name in _EXACT else str(value)
    return _quoted(_zoned(value) if of.name == "timestamptz" else value)


def _zoned(text: str) -> str:
    """A moment without a zone is one of UTC, as in all columns, whatever the zone of the session is."""
    if _DAY.fullmatch(text):
        return f"{text.strip()} 00:00+00"
    match = _CLOCK.fullmatch(text)
    return text if match is None or match["rest"].strip() else f"{text.strip()}+00"


def _quoted(value: str | None) -> str:
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _braced(values: Sequence[str], delimiter: str) -> str:
    return "{" + delimiter.join(values) + "}"


def _slices(text: str) -> Iterator[str | None]:
    """The elements of a list of JSON as they are written, None for null."""
    decoder, blank = json.JSONDecoder(), re.compile(r"[ \t\r\n]*")
    at = _behind(blank, text, text.index("[") + 1)
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        yield None if text[at:end] == "null" else text[at:end]
        at = _behind(blank, text, end)
        if text[at] == ",":
            at = _behind(blank, text, at + 1)


def _behind(blank: re.Pattern[str], text: str, at: int) -> int:
    match = blank.match(text, at)
    assert match is not None
    return match.end()


def _changed(text: str, of: ColumnType) -> str | None:
    """What Postgres would cut or round of an element, without a word; what it refuses, it says itself."""
    if of.is_number:
        return _changed_number(text, of)
    if of.name in _MOMENTS:
        return _changed_moment(text, of)
    if of.name in {"varchar", "char"} and of.length is not None and len(text) > of.length:
        return f"has {len(text)} characters, and {of} takes {of.length}"
    if of.native == "name" and len(text.encode(errors="replace")) > _NAME:
        return f"is longer than the {_NAME} bytes of a name"
    return None


def _changed_number(text: str, of: ColumnType) -> str | None:
    if of.name in {"real", "double"}:
        same = re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) is None or _holds(of, text)
        return None if same else f"is a whole number that {of} does not hold exactly"
    if of.scale is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if number.is_finite() and places(text) > of.scale:
        return f"has more digits behind the point than {of} keeps"
    return None


def _holds(of: ColumnType, text: str) -> bool:
    number = float(text)
    if of.name == "real":
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            return True  # Postgres refuses it
    return number in {float("inf"), float("-inf")} or Decimal(number) == Decimal(text)


def _changed_moment(text: str, of: ColumnType) -> str | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    if of.name == "date":
        return "has a time of the day, and date keeps none"
    if of.name == "time" and match["day"].strip():
        return "has a day, and time keeps none"
    if of.name != "timestamptz" and match["rest"].strip():
        return f"has a zone, and {of} keeps none"
    digits = 6 if of.precision is None else of.precision
    if len((match["fraction"] or "").rstrip("0")) > digits:
        return f"has more than the {digits} digits of a second that {of} keeps"
    return None


def _of(native: str) -> str:
    try:
        return parse_type(native.removesuffix("[]")).name
    except ValueError:
        return native


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
