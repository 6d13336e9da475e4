"""What is in a dead letter: the record in its raw form and the rules it breaks. Sensitive values are masked.

A malformed line cannot be split into its values: where any column is sensitive, all of it is masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from sluicegate.checks.rule import Rule
from sluicegate.checks.sql import literal
from sluicegate.ledger.entries import DeadLetter
from sluicegate.load.staged import Staged
from sluicegate.records.casts import Cast
from sluicegate.records.lines import KEPT
from sluicegate.records.partitioned import PartitionedReader
from sluicegate.records.reader import MALFORMED, Reader, Shape
from sluicegate.records.why import why_lost

__all__ = [
    "MASK", "TYPE", "absent_of", "failures_of", "header_of", "identity_sql", "is_complete", "record_of", "record_sql",
    "sample_letters", "version_sql",
]  # fmt: skip

MASK = "***"
"""What replaces in a dead letter the value of a sensitive column."""
TYPE = "type"
"""The expectation of the rules that a cast is."""
_BEYOND_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[-+]?(?:nan|inf(?:inity)?)\b|,(?=\s*[\]}])', re.IGNORECASE)
_SPELT_OUT = re.compile(r"\\x[0-9a-f]{2}")
_SHOWN = 80
"""Characters of a value in a sample."""


def record_sql(reader: Shape, sensitive: frozenset[str]) -> str:
    """SQL of a record's raw form: a malformed line as it is, JSON as written, else JSON of the values."""
    whole = literal(MASK) if sensitive else "coalesce(text, '')"
    parts = []
    for number, name in enumerate(reader.names):
        value = _as_read(f"r{number}", reader.types.get(name, ""))
        if name in sensitive:
            value = f"CASE WHEN {value} IS NOT NULL THEN {literal(MASK)} END"
        parts.append(f"{literal(name)}, {value}")
    values = f"CAST(json_object({', '.join(parts)}) AS VARCHAR)"
    if reader.written is not None and not sensitive:
        values = reader.written
    return f"CASE WHEN why IS NOT NULL THEN {whole} ELSE {values} END"


def _as_read(value: str, kind: str) -> str:
    """SQL of a typed value as JSON that gives its text again: a number only where that is written the same."""
    if not kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")):
        return value
    same = f"isfinite({value}) AND " if kind in {"FLOAT", "DOUBLE"} else ""
    # Within an object a number is read again, as a double.
    same += f"CAST(json_array(to_json({value})) AS VARCHAR) = '[' || CAST({value} AS VARCHAR) || ']'"
    return f"CASE WHEN {same} THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"


def is_complete(reader: Reader, raw: str, record: str, why: str | None, sensitive: frozenset[str]) -> bool:
    """Whether `record` says all that was read: nothing of it is masked, cut, or spelt out as a database stores it."""
    if not sensitive.isdisjoint(reader.names):
        return False
    if why is None:
        return raw == record or reader.written is None
    return len(raw) < KEPT and _SPELT_OUT.search(raw) is None


def header_of(reader: Reader) -> tuple[str, ...]:
    """The names of the values in a line of the file, without those that its folders add."""
    return (reader.reader if isinstance(reader, PartitionedReader) else reader).names


def absent_of(reader: Reader, record: str, why: str | None, columns: Iterable[str]) -> tuple[str, ...]:
    """Those of the load's `columns` that the record does not have: other records or other parts have them."""
    there = reader.names if why is not None or reader.written is None else tuple(json.loads(record))
    return tuple(name for name in columns if name not in there)


def identity_sql(staged: Staged, sensitive: frozenset[str]) -> str:
    """SQL of the key of a record of `staged s` as JSON of texts, NULL where it could not be read or is masked."""
    if not staged.key or sensitive.intersection(staged.key):
        return "NULL"
    values = ", ".join(f"{literal(name)}, CAST({staged.identity(name)} AS VARCHAR)" for name in staged.key)
    known = " AND ".join(_is_read(staged, name) for name in staged.key)
    return f"CASE WHEN {known} THEN CAST(json_object({values}) AS VARCHAR) END"


def version_sql(staged: Staged, sensitive: frozenset[str]) -> str:
    """SQL of the value of `newest_by` as text, likewise."""
    name = staged.newest_by
    if name is None or name in sensitive:
        return "NULL"
    return f"CASE WHEN {_is_read(staged, name)} THEN CAST({staged.places[name]} AS VARCHAR) END"


def _is_read(staged: Staged, name: str) -> str:
    """What a cast had to change is not the value that was meant."""
    return f"({staged.places[name]} IS NOT NULL AND NOT {staged.failed_cast(name)})"


def record_of(raw: str) -> str:
    """A record that is not malformed, as JSON: NaN and Infinity, which DuckDB reads and writes there, as texts."""
    try:
        json.loads(raw, parse_constant=_refuse)
    except ValueError:
        return _BEYOND_JSON.sub(_as_json, raw)
    return raw


def failures_of(
    rules: Sequence[Rule], record: str, sensitive: frozenset[str], casts: Mapping[str, Cast], why: str | None = None
) -> tuple[Mapping[str, object], ...]:
    """Each of the broken `rules` with its column, the raw value there, and why a cast does not take it; a malformed
    line with `why` it is.
    """
    malformed = any(rule.name == MALFORMED for rule in rules)
    values: Mapping[str, object] = {} if malformed else json.loads(record, parse_float=_float)
    found: list[Mapping[str, object]] = []
    for rule in rules:
        masked = [name for name in rule.columns if name in sensitive]
        shown = [MASK if name in masked and values.get(name) is not None else values.get(name) for name in rule.columns]
        failure: dict[str, object] = {
            "rule": rule.name,
            "column": ", ".join(rule.columns) or None,
            "value": shown[0] if len(shown) == 1 else (shown or None),
        }
        if rule.name == MALFORMED:
            failure["why"] = why
        elif rule.expectation == TYPE:
            cast = casts[rule.columns[0]]
            failure["why"] = f"it is not a {cast.type}" if masked else why_lost(cast, shown[0])
        found.append(failure)
    return tuple(found)


def sample_letters(letters: Iterable[DeadLetter], most: int) -> list[str]:
    """At most `most` of `letters` for the log, none of them with the rules of another."""
    samples: dict[tuple[object, ...], str] = {}
    for letter in letters:
        samples.setdefault(tuple(failure["rule"] for failure in letter.failures), _sample(letter))
        if len(samples) == most:
            break
    return list(samples.values())


def _sample(letter: DeadLetter) -> str:
    failures = "; ".join(_failure(failure, letter.record) for failure in letter.failures)
    return f"{letter.source} line {letter.line}: {failures}"


def _failure(failure: Mapping[str, object], record: str) -> str:
    rule, why = failure["rule"], failure.get("why")
    value = record if rule == MALFORMED else failure["value"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if why and repr(shown) in str(why):
        return f"{rule}: {why}"
    return f"{rule} {shown!r}" + (f" ({why})" if why else "")


def _as_json(token: re.Match[str]) -> str:
    found = token[0]
    if found.startswith('"'):
        return found
    return "" if found == "," else f'"{found}"'


def _float(text: str) -> float | str:
    """A number as JSON has it, or its text where a double would lose digits of it."""
    number = float(text)
    return number if repr(number) == text else text


def _refuse(constant: str) -> object:
    raise ValueError(constant)
