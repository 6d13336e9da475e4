"""The types of columns that neither `columns:` nor the target has: out of the file, looking at all of its values.

Cautious: a column is a number or a date only if all its values are, and never if that would lose something: `007`
stays text, and what a double would not give back digit by digit is `numeric`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal
from sluicegate.records.dialect import Dialect
from sluicegate.records.exact import as_double
from sluicegate.records.jsonlines import JsonReader, json_types
from sluicegate.records.notation import PLAIN
from sluicegate.records.partitioned import PartitionedReader
from sluicegate.records.reader import Reader, Shape
from sluicegate.records.together import SMALL, Together, in_groups
from sluicegate.records.types import ColumnType, parse_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["infer_types"]

Votes = dict[str, set[str] | None]
"""By column the types that all of its values have; None for a column without any value."""

_WHOLE = r"[+-]?(0|[1-9][0-9]{0,18})"
_NUMBER = r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]+|[0-9]\.)?([eE][+-]?[0-9]{1,3})?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = rf"{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_TRIALS: Mapping[str, str] = {
    "bigint": f"regexp_full_match($c, '{_WHOLE}') AND TRY_CAST($c AS BIGINT) IS NOT NULL",
    "double": f"CASE WHEN $n AND isfinite(TRY_CAST($c AS DOUBLE)) THEN {as_double('$c')} ELSE false END",
    "numeric": "$n AND TRY_CAST($c AS DOUBLE) IS NOT NULL AND strlen($c) < 1000",
    "boolean": "lower($c) IN ('true', 'false')",
    "date": f"regexp_full_match($c, '{_DATE}') AND TRY_CAST($c AS DATE) IS NOT NULL",
    "timestamp": f"regexp_full_match($c, '{_TIME}') AND TRY_CAST($c AS TIMESTAMP) IS NOT NULL",
    "timestamptz": f"regexp_full_match($c, '{_TIME}{_ZONE}') AND TRY_CAST($c AS TIMESTAMPTZ) IS NOT NULL",
}
"""From the narrowest: what is true of a value `$c` of that type. `$n` is whether it has a number's form."""
_AT_ONCE = 50
"""Columns that one query looks at."""
_TOGETHER = 50_000
"""Records of several small files that are looked at together, all of them with all trials."""
_SAMPLE = 2_000
"""Records. What does not fit their values is not asked of the others."""
_OF_TEXT = {"date", "timestamp", "timestamptz"}
_JSON_NUMBERS = {"UBIGINT", "BIGINT", "DOUBLE"}
_BINARY = "binary"
_FLOATS = {"real", "double"}
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_OF_DUCK = {
    "BOOLEAN": "boolean", "TINYINT": "smallint", "UTINYINT": "smallint", "SMALLINT": "smallint",
    "USMALLINT": "integer", "INTEGER": "integer", "UINTEGER": "bigint", "BIGINT": "bigint", "UBIGINT": "numeric(20)",
    "HUGEINT": "numeric(38)", "FLOAT": "real", "DOUBLE": "double", "DATE": "date", "TIME": "time",
    "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz", "TIMESTAMPTZ_NS": "timestamptz", "TIME_NS": "time", "UUID": "uuid",
    "BLOB": _BINARY,
}  # fmt: skip


def infer_types(
    duck: DuckDBPyConnection, readers: Sequence[Reader], names: Sequence[str], dialect: Dialect
) -> dict[str, ColumnType]:
    """A type for each of `names`, which holds for the values of all `readers`."""
    wanted = list(names)
    votes: dict[str, list[set[str] | None]] = {name: [] for name in wanted}
    of_folders: dict[str, set[str]] = {}
    files: list[Reader] = []
    for reader in readers:
        if isinstance(reader, PartitionedReader):
            for name, value in reader.values.items():
                of_folders.setdefault(name, set()).update([] if value is None else [value])
            reader = reader.reader  # what is left are the file's own columns
        files.append(reader)
    for group in in_groups(files, _TOGETHER, SMALL):
        here = [name for name in wanted if any(name in reader.names for reader in group)]
        for found in _of_group(duck, group, here) if here else ():
            for name, vote in found.items():
                votes[name].append(vote)
    for name in wanted:
        votes[name].append(_of_texts(duck, of_folders.get(name, ())))
    agreed = {name: _agree(votes[name]) for name in wanted}
    return {name: dialect.binary if kind == _BINARY else parse_type(kind) for name, kind in agreed.items()}


def _of_group(duck: DuckDBPyConnection, group: Sequence[Reader], names: Sequence[str]) -> Iterator[Votes]:
    """The types of the columns in each of several files."""
    together = _of_several(duck, group, names) if len(group) > 1 else None
    if together is not None:
        yield from together
        return
    for reader in group:
        here = [name for name in names if name in reader.names]
        if reader.is_text:
            yield _of_values(duck, reader, here) if here else {}
        else:
            yield {name: {_of_duck(reader.types[name])} for name in here}


def _of_several(duck: DuckDBPyConnection, group: Sequence[Reader], names: Sequence[str]) -> list[Votes] | None:
    """The types that all values of each of several small files have, by one query; None where one of them is not as it
    should be.
    """
    import duckdb

    together = Together(group)
    places = {name: f"r{together.names.index(name)}" for name in names}
    votes: dict[int, Votes] = {}
    try:
        relation = _in_notation(together, together.relation, places)
        counts, votes = _try(duck, relation, places, {name: tuple(_TRIALS) for name in names}, by="part")
        if counts != {part: records for part, records in together.expected if records}:
            return None
        if isinstance(group[0], JsonReader):
            for part, kinds in json_types(duck, together.relation, names, by="part")[1].items():
                votes[part] = {name: _of_json(kinds[name], fits) for name, fits in votes[part].items()}
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return None
    return list(votes.values())


def _in_notation(shape: Shape, relation: str, places: Mapping[str, str]) -> str:
    if shape.notation == PLAIN:
        return relation
    written = ", ".join(f"{shape.notation.of_any(raw)} AS {raw}" for raw in places.values())
    return f"SELECT * REPLACE ({written}) FROM ({relation})"


def _of_values(duck: DuckDBPyConnection, reader: Reader, names: Sequence[str]) -> Votes:
    """The types that all values have; None for a column without any value."""
    found: Votes = {}
    places = {name: f"r{reader.names.index(name)}" for name in names}

    def collect(relation: str) -> int:
        relation = _in_notation(reader, relation, places)
        every = {name: tuple(_TRIALS) for name in names}
        raw = "".join(f", {place}" for place in places.values())
        duck.execute(f"CREATE TEMP TABLE sampled AS SELECT why{raw} FROM ({relation}) LIMIT {_SAMPLE}")
        _, some = _try_all(duck, "SELECT * FROM sampled", places, every)
        duck.execute("DROP TABLE sampled")
        left = {name: tuple(kind for kind in _TRIALS if fits is None or kind in fits) for name, fits in some.items()}
        count, whole = _try_all(duck, relation, places, left)
        found.update(whole)
        return count

    reader.read(collect)
    if isinstance(reader, JsonReader):
        for name, kinds in reader.json_types(names).items():
            found[name] = _of_json(kinds, found[name])
    return found


def _of_texts(duck: DuckDBPyConnection, texts: Collection[str]) -> set[str] | None:
    """The types that all `texts` have; None without any."""
    if not texts:
        return None
    relation = f"SELECT unnest([{', '.join(map(literal, sorted(texts)))}]) AS r0"
    return _try_all(duck, relation, {"": "r0"}, {"": tuple(_TRIALS)})[1][""]


def _try_all(
    duck: DuckDBPyConnection, relation: str, places: Mapping[str, str], trials: Mapping[str, Sequence[str]]
) -> tuple[int, Votes]:
    """The number of records, and the votes of all of them."""
    counts, votes = _try(duck, relation, places, trials, by="0")
    return counts.get(0, 0), votes.get(0, dict.fromkeys(places))


def _try(
    duck: DuckDBPyConnection,
    relation: str,
    places: Mapping[str, str],
    trials: Mapping[str, Sequence[str]],
    *,
    by: str,
) -> tuple[dict[int, int], dict[int, Votes]]:
    """For each value of `by` the number of records, and of `trials` for each column those that all of its values pass;
    None without any.

    Some columns at a time: a query takes longer to plan than its columns are more.
    """
    votes: dict[int, Votes] = {}
    counts: dict[int, int] = {}
    names = list(places)
    for start in range(0, max(1, len(names)), _AT_ONCE):
        some = {name: places[name] for name in names[start : start + _AT_ONCE]}
        for group, count, passed in _try_some(duck, relation, some, trials, by):
            counts[group] = count
            votes.setdefault(group, {}).update(passed)
    return counts, votes


def _try_some(
    duck: DuckDBPyConnection, relation: str, places: Mapping[str, str], trials: Mapping[str, Sequence[str]], by: str
) -> Iterator[tuple[int, int, Votes]]:
    numbers = {name: f"n{place[1:]}" for name, place in places.items() if {"double", "numeric"} & {*trials[name]}}
    forms = "".join(f", regexp_full_match({places[name]}, '{_NUMBER}') AS {form}" for name, form in numbers.items())
    counts = []
    for name, raw in places.items():
        passes = [_TRIALS[kind].replace("$c", raw).replace("$n", numbers.get(name, "")) for kind in trials[name]]
        counts += [f"count({raw})", *(f"count(*) FILTER ({passed})" for passed in passes)]
    selected = ", ".join([f"{by} AS its_group", "count(*)", *counts])
    query = f"SELECT {selected} FROM (SELECT *{forms} FROM ({relation})) GROUP BY its_group"
    for group, total, *rest in duck.execute(query).fetchall():
        found: Votes = {}
        for name in places:
            values, *hits = rest[: 1 + len(trials[name])]
            rest = rest[1 + len(trials[name]) :]
            fitting = (kind for kind, hit in zip(trials[name], hits, strict=True) if hit == values)
            found[name] = set(fitting) if values else None
        yield int(group), int(total), found


def _of_json(kinds: set[str], fits: set[str] | None) -> set[str] | None:
    """What JSON itself says, which goes before the look of a value: `"10115"` is a text."""
    if fits is None or not kinds:
        return None
    if kinds & {"OBJECT", "ARRAY"}:
        return {"jsonb"} if kinds <= {"OBJECT", "ARRAY"} else set()
    if kinds == {"VARCHAR"}:
        return fits & _OF_TEXT
    if kinds == {"BOOLEAN"}:
        return fits & {"boolean"}
    if kinds <= _JSON_NUMBERS:
        # NaN and Infinity, which are not numbers to JSON but written there, are some to a double alone.
        return fits & {"bigint", "double", "numeric"} or {"double"}
    return set()


def _of_duck(kind: str) -> str:
    if kind in _OF_DUCK:
        return _OF_DUCK[kind]
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        return f"numeric({match[1]},{match[2]})"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT")):
        return "jsonb"
    return "text"


def _agree(votes: Sequence[set[str] | None]) -> str:
    """The narrowest type that every part allows; text where there is none, or no value at all."""
    said = [vote for vote in votes if vote is not None]
    if not said:
        return "text"
    common = set.intersection(*said)
    for kind in _TRIALS:
        if kind in common:
            return kind
    if common:
        return min(common)
    return _widest(set.union(*said)) if all(len(vote) == 1 for vote in said) else "text"


def _widest(kinds: set[str]) -> str:
    """The narrowest type that has room for the numbers of all `kinds`; text where they are not all numbers."""
    exact = {kind: room for kind in kinds if (room := _room(kind)) is not None}
    if len(exact) < len(kinds - _FLOATS):
        return "text"
    if len(exact) < len(kinds):
        return "double" if exact.keys() <= {"smallint", "integer"} else "numeric"
    if exact.keys() <= _DIGITS.keys():
        return max(exact, key=_DIGITS.__getitem__)
    whole, places = (max(side) for side in zip(*exact.values(), strict=True))
    return f"numeric({whole + places},{places})"


def _room(kind: str) -> tuple[int, int] | None:
    """Digits before and behind the point."""
    if kind in _DIGITS:
        return _DIGITS[kind], 0
    found = re.fullmatch(r"numeric\((\d+)(?:,(\d+))?\)", kind)
    return (int(found[1]) - int(found[2] or 0), int(found[2] or 0)) if found else None
