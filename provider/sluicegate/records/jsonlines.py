"""JSON lines as a relation of raw texts."""

from __future__ import annotations

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

__all__ = ["JsonReader"]


class JsonReader(TextReader):
    """JSON lines: an object a line. Values that are objects or arrays stay JSON texts."""

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart, form: Format, look: Look, folder: Path) -> None:
        super().__init__(duck, part, form, look, folder)
        self.notation = notation_of(form, numbers=False)
        self.written = "text"
        keys: list[str] = []
        self._has_twins = False

        def collect(relation: str) -> int:
            keys.clear()
            self._has_twins = False
            query = (
                f"SELECT json_keys(text), min(line), count(*) FROM ({relation}) WHERE why IS NULL GROUP BY 1 ORDER BY 2"
            )
            seen = 0
            for some, _, count in duck.execute(query).fetchall():
                seen += count
                keys.extend(some)
                self._has_twins = self._has_twins or len(set(some)) < len(some)
            bad = duck.execute(f"SELECT count(*) FROM ({relation}) WHERE why IS NOT NULL").fetchone()
            return seen + (bad[0] if bad else 0)

        self.read(collect)
        self.names = tuple(dict.fromkeys(keys))
        if "" in self.names:
            raise fault("SOURCE_UNREADABLE", f"{part.uri}: a record has a key without a name", uri=part.uri)

    def json_types(self, names: Sequence[str]) -> dict[str, set[str]]:
        """The kinds of JSON values under each of `names`: VARCHAR, UBIGINT, DOUBLE, BOOLEAN, OBJECT, ..."""
        found: dict[str, set[str]] = {name: set() for name in names}
        if not names:
            return found
        kinds = ", ".join(f"list(DISTINCT json_type(text, {literal(pointer(name))}))" for name in names)

        def collect(relation: str) -> int:
            query = f"SELECT count(*), {kinds} FROM ({relation}) WHERE why IS NULL"
            row = self.duck.execute(query).fetchone()
            assert row is not None
            for name, some in zip(names, row[1:], strict=True):
                found[name] = {kind for kind in some or () if kind not in (None, "NULL")}
            bad = self.duck.execute(f"SELECT count(*) FROM ({relation}) WHERE why IS NOT NULL").fetchone()
            return int(row[0]) + (bad[0] if bad else 0)

        self.read(collect)
        return found

    @property
    def expected(self) -> int:
        return self.look.lines

    def _shaped(self, lines: str) -> str:
        paths = ", ".join(literal(pointer(name)) for name in self.names)
        raw = "".join(f", v[{number + 1}] AS r{number}" for number in range(len(self.names)))
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
        judged = f"SELECT line, text, {why} AS why FROM ({lines})"
        return f"SELECT line, why, text{raw} FROM ({with_values(judged, f'[{paths}]') if paths else judged})"

    def _quick_relation(self, *, numbered: bool) -> str:
        # No JSON text has a raw U+0001, so that a line is one column whatever it holds. An empty column behind it
        # would not count if empty meant NULL.
        options = (
            f"{PLAIN}, delim='\x01', quote='', escape='', nullstr='\x02', columns={{'text': 'VARCHAR'}}"
            f"{self.look.new_line}"
        )
        rows = f"SELECT row_number() OVER () AS line, text FROM read_csv({literal(str(self.look.path))}, {options})"
        return self._shaped(f"SELECT * FROM ({rows}) WHERE NOT regexp_full_match(text, '[ \t]*')")

    def _careful_relation(self) -> str:
        columns = "{'line': 'BIGINT', 'text': 'VARCHAR'}"
        options = f"{ROWS}, {CLEAN}, delim=',', columns={columns}"
        lines = f"SELECT line, text FROM read_csv({literal(str(self._clean))}, {options})"
        return f"{self._shaped(lines)} UNION ALL BY NAME ({self._set_aside()})"

    def _normalise(self) -> int:
        return normalise_json(self.look.path, self.form.encoding, self._clean, self._malformed, self._cut)
