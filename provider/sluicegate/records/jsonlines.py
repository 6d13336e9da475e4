"""JSON lines as a relation of raw texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, pointer
from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.jsonnumbers import with_values
from sluicegate.records.lines import CLEAN, normalise_json
from sluicegate.records.look import Look
from sluicegate.records.notation import notation_of
from sluicegate.records.reader import LocalPart
from sluicegate.records.textfile import PLAIN, ROWS, TextReader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["JsonReader", "json_types"]

_SMALL = 1 << 18
"""Bytes of a file of which Python finds the names sooner than DuckDB."""
_IS_RECORD = "NOT regexp_full_match(text, '[ \t]*')"
"""A blank line is none."""


_BUFFER = "buffer_size=4000000"
"""Bytes that DuckDB reads at once. They have to fit into memory several times: each of the functions that take values
out of long records copies these."""


class JsonReader(TextReader):
    """JSON lines: an object a line. Values that are objects or arrays stay JSON texts."""

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart, form: Format, look: Look, folder: Path) -> None:
        super().__init__(duck, part, form, look, folder)
        self.notation = notation_of(form, numbers=False)
        self.written = "text"
        self._has_twins = False
        self.names = (self._plain_names() if self._is_quick() else None) or self._names()
        if "" in self.names:
            raise fault("SOURCE_UNREADABLE", f"{part.uri}: a record has a key without a name", uri=part.uri)

    def _names(self) -> tuple[str, ...]:
        keys: list[str] = []

        def collect(relation: str) -> int:
            keys.clear()
            self._has_twins = False
            query = (
                f"SELECT json_keys(text), min(line), count(*) FROM ({relation}) WHERE why IS NULL GROUP BY 1 ORDER BY 2"
            )
            seen = 0
            for some, _, count in self.duck.execute(query).fetchall():
                seen += count
                keys.extend(some)
                self._has_twins = self._has_twins or len(set(some)) < len(some)
            bad = self.duck.execute(f"SELECT count(*) FROM ({relation}) WHERE why IS NOT NULL").fetchone()
            return seen + (bad[0] if bad else 0)

        self.read(collect)
        return tuple(dict.fromkeys(keys))

    def _plain_names(self) -> tuple[str, ...] | None:
        """The names of a small file in which nothing is doubtful, sooner than DuckDB has planned to look for them."""
        if self.look.path.stat().st_size > _SMALL:
            return None
        content = self.look.path.read_bytes()
        names: dict[str, None] = {}
        # An escape may be one of half a character, which is JSON to Python alone.
        if b"\\u" in content:
            return None
        try:
            for line in content.decode().removesuffix("\n").split("\n"):
                pairs = json.loads(line, object_pairs_hook=_names_once, parse_constant=_refuse)
                if not isinstance(pairs, _Names):
                    return None
                names |= pairs.names
        except (ValueError, RecursionError):
            return None
        return tuple(names)

    def json_types(self, names: Sequence[str]) -> dict[str, set[str]]:
        """The kinds of JSON values under each of `names`: VARCHAR, UBIGINT, DOUBLE, BOOLEAN, OBJECT, ..."""
        found: dict[str, set[str]] = {}

        def collect(relation: str) -> int:
            found.clear()
            counts, kinds = json_types(self.duck, relation, names, by="0")
            found.update(kinds.get(0, {name: set() for name in names}))
            return counts.get(0, 0)

        self.read(collect)
        return found

    @property
    def expected(self) -> int:
        return self.look.lines

    def _shaped(self, lines: str, names: Sequence[str] | None = None, more: str = "") -> str:
        """SQL of the records that `lines` are, with `more` columns of theirs."""
        names = self.names if names is None else names
        paths = ", ".join(literal(pointer(name)) for name in names)
        raw = "".join(f", v[{number + 1}] AS r{number}" for number in range(len(names)))
        twice = ""
        if self._has_twins:
            # Asked of each record only where some record has one: it costs as much as all the rest.
            keys = "json_keys(text)"
            twin = f"list_filter({keys}, lambda k: len(list_filter({keys}, lambda other: other = k)) > 1)[1]"
            twice = (
                f"WHEN len(list_distinct({keys})) < len({keys}) THEN 'the key ' || to_json({twin}) || ' comes twice' "
            )
        why = (
            "CASE WHEN NOT json_valid(text) THEN 'not valid JSON' "
            "WHEN NOT starts_with(text, '{') AND json_type(text) <> 'OBJECT' "
            f"THEN 'not a JSON object but of the type ' || lower(json_type(text)) {twice}END"
        )
        judged = f"SELECT line, text, {why} AS why{more} FROM ({lines})"
        return f"SELECT line, why, text{more}{raw} FROM ({with_values(judged, f'[{paths}]') if paths else judged})"

    def scan(self, files: str) -> str:
        # No JSON text has a raw U+0001, so that a line is one column whatever it holds. An empty column behind it
        # would not count if empty meant NULL.
        return (
            f"read_csv({files}, {PLAIN}, {_BUFFER}, delim='\x01', quote='', escape='', nullstr='\x02', "
            f"columns={{'text': 'VARCHAR'}}{self.look.new_line})"
        )

    @property
    def form_alike(self) -> tuple[object, ...] | None:
        if not self.names or self._has_twins or not self._is_quick():
            return None
        return self.form, self.notation, self.look.new_line

    def together(self, lines: str, names: Sequence[str]) -> str:
        return self._shaped(f"SELECT NULL::BIGINT AS line, * FROM ({lines}) WHERE {_IS_RECORD}", names, ", part")

    def _quick_relation(self, *, numbered: bool) -> str:
        source = self.scan(literal(str(self.look.path)))
        rows = f"SELECT row_number() OVER () AS line, text FROM {source}"
        return self._shaped(f"SELECT * FROM ({rows}) WHERE {_IS_RECORD}")

    def _careful_relation(self) -> str:
        columns = "{'line': 'BIGINT', 'text': 'VARCHAR'}"
        options = f"{ROWS}, {CLEAN}, delim=',', columns={columns}"
        lines = f"SELECT line, text FROM read_csv({literal(str(self._clean))}, {options})"
        return f"{self._shaped(lines)} UNION ALL BY NAME ({self._set_aside()})"

    def _normalise(self) -> int:
        return normalise_json(self.look.path, self.form.encoding, self._clean, self._malformed, self._cut)


def json_types(
    duck: DuckDBPyConnection, relation: str, names: Sequence[str], *, by: str
) -> tuple[dict[int, int], dict[int, dict[str, set[str]]]]:
    """For each value of `by` the number of records, and the kinds of JSON values under each of `names`."""
    # Of what is not JSON its type must not be asked.
    kinds = "".join(
        f", list(DISTINCT CASE WHEN why IS NULL THEN json_type(text, {literal(pointer(name))}) END)" for name in names
    )
    query = f"SELECT {by} AS its_group, count(*){kinds} FROM ({relation}) GROUP BY its_group"
    counts, found = {}, {}
    for group, count, *rest in duck.execute(query).fetchall():
        counts[group] = count
        found[group] = {
            name: {kind for kind in some or () if kind not in (None, "NULL")}
            for name, some in zip(names, rest, strict=True)
        }
    return counts, found


class _Names:
    """An object of JSON, of which nothing but the names is of interest."""

    def __init__(self, names: dict[str, None]) -> None:
        self.names = names


def _names_once(pairs: list[tuple[str, object]]) -> _Names:
    names = dict.fromkeys(name for name, _ in pairs)
    if len(names) < len(pairs):
        raise ValueError("a key comes twice")
    return _Names(names)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a value of JSON")
