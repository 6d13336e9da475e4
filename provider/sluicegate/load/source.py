"""The parts of a source as DuckDB relations of raw records: line number, why it is malformed, text, raw values.

A relation has the columns `line`, `why`, `text` and `r0`, `r1`, ... in the order of `names`. Values of CSV and
JSON are texts. Only reading: nothing is cast or checked here.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sluicegate.faults import FaultError, fault
from sluicegate.load.lines import (
    CsvShape,
    Look,
    first_record,
    look_through,
    normalise_csv,
    normalise_json,
)
from sluicegate.checks.sql import literal, name_of, pointer
from sluicegate.pipeline.model import Format

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LocalPart", "Reader", "open_part"]

MALFORMED = "malformed"
_PLAIN = "header=false, auto_detect=false, compression='none', strict_mode=true"
_ROWS = _PLAIN + ", quote='\"', escape='\"', allow_quoted_nulls=true"


@dataclass(frozen=True)
class LocalPart:
    """One part of the source, fetched. `number` is its place in the order of reading, from 0."""

    number: int
    uri: str
    version: str
    path: Path


class Reader(Protocol):
    """One part, opened. `names` are its columns; `is_text` whether raw values are texts."""

    part: LocalPart
    names: tuple[str, ...]
    is_text: bool
    types: dict[str, str]
    """DuckDB's types of the columns, where the file has types."""

    @property
    def may_hold_nul(self) -> bool: ...

    def read(self, use: Callable[[str], int]) -> None:
        """Call `use` with the relation's SQL; it returns how many records it saw.

        When they are not as many as the file has lines, or DuckDB refuses the file, what `use` did is rolled
        back and it is called once more with a relation that was put right.
        """


def open_part(duck: DuckDBPyConnection, part: LocalPart, form: Format, folder: Path, names: Sequence[str]) -> Reader:
    """A reader for `part`. `names` are the columns of a file without a header, empty when unknown.

    :raises FaultError: SOURCE_UNREADABLE when it is not in the format, WRONG_USE for an unknown format.
    """
    kind = form.type or _kind_of(part.uri)
    part = replace(part, path=_without_wildcards(part, folder))
    if kind == "parquet":
        return ParquetReader(duck, part)
    try:
        codecs.lookup(form.encoding)
    except LookupError as error:
        raise fault("WRONG_USE", f"unknown encoding {form.encoding!r} in format:") from error
    look = look_through(part.path, folder / f"part{part.number}.unpacked", uri=part.uri)
    if kind == "csv":
        return CsvReader(duck, part, form, look, folder, tuple(names))
    return JsonReader(duck, part, form, look, folder)


def _without_wildcards(part: LocalPart, folder: Path) -> Path:
    """A path to the same file that DuckDB does not take for a pattern of several."""
    if not set(str(part.path)) & set("*?[]{}"):
        return part.path
    link = folder / f"part{part.number}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(part.path.absolute())
    return link


def _kind_of(uri: str) -> str:
    suffixes = Path(uri.lower().removesuffix(".gz").removesuffix(".gzip")).suffix
    kinds = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
    if suffixes in kinds:
        return kinds[suffixes]
    raise fault(
        "WRONG_USE",
        f"the suffix of {uri} does not say its format; say `format: csv`, `jsonl` or `parquet` in the pipeline",
        uri=uri,
    )


@dataclass
class _TextReader:
    """What CSV and JSON lines share: first the quick way, and the careful one when that does not add up."""

    duck: DuckDBPyConnection
    part: LocalPart
    form: Format
    look: Look
    folder: Path
    names: tuple[str, ...] = ()
    is_text: bool = True
    types: dict[str, str] = field(default_factory=dict)
    _careful: int | None = None
    """Records, once the file was put right."""

    @property
    def may_hold_nul(self) -> bool:
        return self.look.nul

    def read(self, use: Callable[[str], int]) -> None:
        import duckdb

        if self._careful is None and self._is_regular():
            self.duck.execute("BEGIN")
            try:
                if use(self._quick_relation()) == self._expected():
                    self.duck.execute("COMMIT")
                    return
            except FaultError:
                self.duck.execute("ROLLBACK")
                raise
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                pass  # A malformed line: the careful way says which.
            self.duck.execute("ROLLBACK")
        if self._careful is None:
            self._careful = self._normalise()
        found = use(self._careful_relation())
        if found != self._careful:
            raise fault(
                "SOURCE_UNREADABLE",
                f"{self.part.uri}: {self._careful} records were found and {found} could be read",
                uri=self.part.uri,
            )

    @property
    def _clean(self) -> Path:
        return self.folder / f"part{self.part.number}.clean.csv"

    @property
    def _malformed(self) -> Path:
        return self.folder / f"part{self.part.number}.malformed.csv"

    def _is_regular(self) -> bool:
        encoding = codecs.lookup(self.form.encoding).name
        return encoding in {"utf-8", "ascii", "utf-8-sig"} and not self.look.carriage

    def _expected(self) -> int:
        raise NotImplementedError

    def _quick_relation(self) -> str:
        raise NotImplementedError

    def _careful_relation(self) -> str:
        raise NotImplementedError

    def _normalise(self) -> int:
        raise NotImplementedError

    def _set_aside(self) -> str:
        """The relation of the lines that `normalise_*` set aside, without raw values."""
        columns = "{'line': 'BIGINT', 'text': 'VARCHAR', 'why': 'VARCHAR'}"
        options = f"{_ROWS}, delim=',', parallel=false, nullstr='', columns={columns}, new_line='\\n'"
        return f"SELECT line, why, coalesce(text, '') AS text FROM read_csv({literal(str(self._malformed))}, {options})"


class CsvReader(_TextReader):
    """CSV by RFC 4180, with any delimiter; a record that is quoted over several lines has its first line's number."""

    def __init__(
        self, duck: DuckDBPyConnection, part: LocalPart, form: Format, look: Look, folder: Path, names: tuple[str, ...]
    ) -> None:
        super().__init__(duck, part, form, look, folder)
        if not form.delimiter or len(form.delimiter) > 4 or form.delimiter in {'"', "\n", "\r"}:
            raise fault("WRONG_USE", f"{form.delimiter!r} cannot be a delimiter of a CSV file")
        self.shape = CsvShape(form.delimiter, form.encoding, form.header)
        try:
            first = first_record(look.path, self.shape)
        except (ValueError, UnicodeError) as error:
            raise fault("SOURCE_UNREADABLE", f"{part.uri}: its first line is malformed: {error}", uri=part.uri) from error
        self.names = self._header(first, names)

    def _header(self, first: list[str] | None, names: tuple[str, ...]) -> tuple[str, ...]:
        if first is None:
            return ()
        if not self.form.header:
            if names and len(names) != len(first):
                raise fault(
                    "SOURCE_UNREADABLE",
                    f"{self.part.uri} has no header and {len(first)} columns, but {len(names)} are named",
                    uri=self.part.uri,
                )
            return names or tuple(f"column_{number}" for number in range(1, len(first) + 1))
        header = tuple(text.strip() for text in first)
        if "" in header:
            detail = f"column {header.index('') + 1} of its header has no name"
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri}: {detail}", uri=self.part.uri)
        if twice := sorted({text for text in header if header.count(text) > 1}):
            detail = f"its header names {', '.join(twice)} more than once"
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri}: {detail}", uri=self.part.uri)
        return header

    def read(self, use: Callable[[str], int]) -> None:
        if self.names:
            super().read(use)
        else:
            use("SELECT 0::BIGINT AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text WHERE false")

    def _is_regular(self) -> bool:
        # DuckDB drops blank lines, except where a blank line is a record of one empty value.
        return super()._is_regular() and not (len(self.names) < 2 and self.look.blank)

    def _expected(self) -> int:
        return self.look.lines - self.form.header

    def _options(self, columns: Sequence[str], delimiter: str) -> str:
        types = ", ".join(f"'{column}': '{'BIGINT' if column == 'line' else 'VARCHAR'}'" for column in columns)
        nulls = ", ".join(literal(text) for text in self.form.null) or literal("\x02")
        return f"{_ROWS}, delim={literal(delimiter)}, nullstr=[{nulls}], columns={{{types}}}"

    def _raw(self) -> list[str]:
        return [f"r{number}" for number in range(len(self.names))]

    def _quick_relation(self) -> str:
        options = self._options(self._raw(), self.form.delimiter)
        skip = int(self.form.header)
        source = f"read_csv({literal(str(self.look.path))}, {options}, skip={skip}, new_line='{self.look.newline}')"
        line = f"row_number() OVER () + {skip}"
        return f"SELECT {line} AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, * FROM {source}"

    def _careful_relation(self) -> str:
        options = self._options(["line", *self._raw()], ",")
        clean = f"read_csv({literal(str(self._clean))}, {options}, parallel=false, new_line='\\n')"
        raw = ", ".join(self._raw())
        return (
            f"SELECT line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, {raw} FROM {clean} UNION ALL BY NAME "
            f"({self._set_aside()})"
        )

    def _normalise(self) -> int:
        return normalise_csv(self.look, self.shape, len(self.names), self._clean, self._malformed)


class JsonReader(_TextReader):
    """JSON lines: an object a line. Values that are objects or arrays stay JSON texts."""

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart, form: Format, look: Look, folder: Path) -> None:
        super().__init__(duck, part, form, look, folder)
        keys: list[str] = []

        def collect(relation: str) -> int:
            keys.clear()
            query = f"SELECT json_keys(text), min(line), count(*) FROM ({relation}) WHERE why IS NULL GROUP BY 1 ORDER BY 2"
            seen = 0
            for some, _, count in duck.execute(query).fetchall():
                seen += count
                keys.extend(some)
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

    def _expected(self) -> int:
        return self.look.lines

    def _shaped(self, lines: str) -> str:
        paths = ", ".join(literal(pointer(name)) for name in self.names)
        values = f"json_extract_string(text, [{paths}])" if paths else "NULL::VARCHAR[]"
        raw = "".join(f", v[{number + 1}] AS r{number}" for number in range(len(self.names)))
        right = "CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' ELSE false END"
        return (
            f"SELECT line, why, text{raw} FROM (SELECT line, text, CASE WHEN NOT ok THEN 'not a JSON object' END AS why, "
            f"CASE WHEN ok THEN {values} END AS v FROM (SELECT line, text, {right} AS ok FROM ({lines})))"
        )

    def _quick_relation(self) -> str:
        # No JSON text has a raw U+0001, so that a line is one column whatever it holds.
        options = (
            f"{_PLAIN}, delim='\x01', quote='', escape='', columns={{'text': 'VARCHAR'}}, "
            f"new_line='{self.look.newline}'"
        )
        rows = f"SELECT row_number() OVER () AS line, text FROM read_csv({literal(str(self.look.path))}, {options})"
        return self._shaped(f"SELECT * FROM ({rows}) WHERE trim(text) <> ''")

    def _careful_relation(self) -> str:
        columns = "{'line': 'BIGINT', 'text': 'VARCHAR'}"
        options = f"{_ROWS}, delim=',', parallel=false, columns={columns}, new_line='\\n'"
        lines = f"SELECT line, text FROM read_csv({literal(str(self._clean))}, {options})"
        return f"{self._shaped(lines)} UNION ALL BY NAME ({self._set_aside()})"

    def _normalise(self) -> int:
        return normalise_json(self.look, self.form.encoding, self._clean, self._malformed)


class ParquetReader:
    """Parquet: the line is the row's number, from 1. Nested values become JSON texts, bytes Postgres' hex."""

    is_text = False
    may_hold_nul = True

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart) -> None:
        import duckdb

        self.duck, self.part = duck, part
        self._source = f"read_parquet({literal(str(part.path))}, file_row_number=true)"
        try:
            columns = duck.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {self._source}").fetchall()
        except duckdb.Error as error:
            raise fault("SOURCE_UNREADABLE", f"{part.uri} is not a Parquet file: {error}", uri=part.uri) from error
        self.types = {str(column[0]): str(column[1]) for column in columns}
        self.names = tuple(self.types)

    def read(self, use: Callable[[str], int]) -> None:
        import duckdb

        raw = "".join(f", {self._value(name)} AS r{number}" for number, name in enumerate(self.names))
        line = "file_row_number + 1 AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text"
        try:
            use(f"SELECT {line}{raw} FROM {self._source}")
        except (duckdb.InvalidInputException, duckdb.SerializationException) as error:
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri} is damaged: {error}", uri=self.part.uri) from error

    def _value(self, name: str) -> str:
        kind, column = self.types[name], name_of(name)
        if kind == "BLOB":
            return f"'\\x' || lower(hex({column}))"
        if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT")):
            return f"CAST(to_json({column}) AS VARCHAR)"
        if kind.startswith(("ENUM", "INTERVAL", "BIT")):
            return f"CAST({column} AS VARCHAR)"
        return column
