"""Why a value is not one of its column's type, in words, with the option or the type that would read it.

Only for records that are set aside already: what is bad is decided in `casts`.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation

from sluicegate.records.arrays import NoArrayError, array_literal
from sluicegate.records.casts import Cast
from sluicegate.records.notation import epoch_moment, suggest
from sluicegate.records.types import ColumnType

__all__ = ["why_lost"]

_RANGE = {"smallint": 15, "integer": 31, "bigint": 63}
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{1,2}-\d{1,2})?(?:[T ]|^|$)?(?P<clock>\d{1,2}:\d{1,2}(?::\d{1,2}(?:[.](?P<fraction>\d*))?)?)?"
    r"\s*(?P<zone>Z|[+-]\d{2}(?::?\d{2})*|[A-Za-z_]+(?:/[A-Za-z_/]+)?)?"
)
_LOOKS = {
    "date": "2024-03-31",
    "time": "14:30:00",
    "timestamp": "2024-03-31 14:30:00",
    "timestamptz": "2024-03-31T14:30:00Z",
    "uuid": "550e8400-e29b-41d4-a716-446655440000",
    "boolean": "true, false, t, f, yes, no, 1 or 0",
}
_SHOWN = 60
_CONSTANT = re.compile(r'"([-+]?(?:nan|inf(?:inity)?))"', re.IGNORECASE)
"""As a record that is set aside has them."""
_REMEDY = "which JSON does not have: write null for it, or load the column as text"


def why_lost(cast: Cast, value: object) -> str:
    """One sentence about `value`, as a dead letter's record has it, which `cast` does not take."""
    type_ = cast.type
    text = (value if isinstance(value, str) else json.dumps(value)).strip()
    if "\0" in text:
        return "it has the character U+0000, which Postgres does not store"
    if type_.is_number:
        plain = cast.notation.plain_number(text)
        if plain is None:
            return f"{_shown(text)} is not a number with `{cast.notation}`"
        return _number(cast, plain)
    if type_.is_moment:
        moment = cast.notation.plain_moment(text) if cast.epoch is None else epoch_moment(text, cast.epoch)
        if moment is None:
            return f"{_shown(text)} is not a number of {cast.epoch} (in digits)"
        text = moment
    if type_.name in _LOOKS:
        expected = f"{_shown(text)} is not a {type_} (expected {_LOOKS[type_.name]})"
        return _moment(cast, text) or _hinted(expected, text, cast)
    if type_.name in {"varchar", "char"}:
        return f"it has {len(text)} characters, and {type_} takes {type_.length}"
    if type_.name in {"json", "jsonb"}:
        return _json(type_, text)
    if type_.is_array:
        return _array(type_, text)
    return f"{_shown(text)} is not a {type_}"


def _number(cast: Cast, text: str) -> str:
    type_ = cast.type
    try:
        number = Decimal(text) if "_" not in text else None
    except InvalidOperation:
        number = None
    if number is None:
        return _hinted(f"{_shown(text)} is not a number", text, cast)
    if number.is_nan():
        return f"{type_} has no NaN; `null: [NaN]` in the column reads it as no value"
    if number.is_infinite():
        return f"{type_} has no infinity"
    if type_.name in {"real", "double"}:
        if number == number.to_integral_value() and abs(number) < Decimal("1e300"):
            return f"{text} is a whole number that {type_} does not hold exactly: numeric does, `round: true` rounds it"
        return f"{text} is beyond the range of {type_}"
    places = max(0, -int(number.normalize().as_tuple().exponent))
    if not cast.round and places > (type_.scale or 0):
        room = f"{type_} keeps {type_.scale}" if type_.scale else f"{type_} keeps none"
        digits = f"{places} digit{'s' * (places > 1)}"
        return f"{text} has {digits} behind the point and {room}: `round: true` rounds it"
    if type_.name in _RANGE:
        top = 2 ** _RANGE[type_.name]
        return f"{text} is beyond {type_}, which goes from {-top} to {top - 1}"
    return f"{text} has more digits before the point than {type_} takes"


def _moment(cast: Cast, text: str) -> str | None:
    type_ = cast.type
    match = _MOMENT.fullmatch(text)
    if match is None or not (match["day"] or match["clock"]):
        return None
    if type_.name == "time" and match["day"]:
        return f"{text} has a day, and time keeps none"
    if match["zone"] and (type_.name == "time" or (type_.name in {"date", "timestamp"} and cast.zone is None)):
        there = "" if type_.name == "time" else ": `zone: UTC`, or another, says where its clock is read"
        return f"{text} has a zone ({match['zone']}), and {type_} keeps none{there}"
    if not cast.round and type_.name == "date" and match["clock"]:
        return f"{text} has a time of the day, and date keeps none: `round: true` cuts it off"
    digits = 6 if type_.precision is None else type_.precision
    if not cast.round and len((match["fraction"] or "").rstrip("0")) > digits:
        return f"{text} has more than the {digits} digits of a second that {type_} keeps: `round: true` cuts them off"
    if type_.name == "timestamptz" and cast.zone and not match["zone"]:
        return f"{text} does not exist in {cast.zone}, or comes twice there, as the clocks are changed"
    return None


def _array(type_: ColumnType, text: str) -> str:
    try:
        array_literal(text, str(type_))
    except NoArrayError as error:
        return f"it is not {type_}: {error}"
    return f"{_shown(text)} is not {type_}: neither a list of JSON nor an array as Postgres writes it, such as {{1,2}}"


def _json(type_: ColumnType, text: str) -> str:
    try:
        json.loads(text, parse_constant=_refuse)
    except _ConstantError as constant:
        return f"it holds {constant}, {_REMEDY}"
    except ValueError as error:
        return f"it is not {type_}: {error}"
    if constants := _CONSTANT.findall(text):
        return f"it holds {constants[0]}, {_REMEDY}"
    return f"it holds a character or a number that {type_} does not store"


class _ConstantError(Exception):
    pass


def _refuse(constant: str) -> object:
    raise _ConstantError(constant)


def _hinted(sentence: str, text: str, cast: Cast) -> str:
    option = suggest(text, cast.type)
    return sentence if option is None else f"{sentence}; {option} would read it"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
