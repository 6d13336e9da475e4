"""CSV as a relation of raw texts."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal
from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.csvlines import CsvShape, MalformedError, normalise_csv, read_start
from sluicegate.records.lines import CLEAN
from sluicegate.records.look import Look, has_blank_lines
from sluicegate.records.notation import notation_of
from sluicegate.records.reader import LocalPart
from sluicegate.records.textfile import ROWS, TextReader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CsvReader"]


log = logging.getLogger("sluicegate.load")

_DELIMITERS = (";", "\t", "|", ",")
_NO_NULL = "\x02no text means NULL\x03"
_BUFFER = "buffer_size=16000000, max_line_size=2000000"
"""Bytes that DuckDB reads at once, of which it holds a few times as many; half as many are slower to read. Without a
word of its own the longest line would be as long."""
_LINE_BREAK = re.compile(r"\s*[\r\n]+\s*")


class CsvReader(TextReader):
    """CSV by RFC 4180, with any delimiter; a record that is quoted over several lines has its first line's number.

    :param names: the columns of a file without a header
    :param beside: those of them that it may lack, since its folders have them
    """

    def __init__(
        self,
        duck: DuckDBPyConnection,
        part: LocalPart,
        form: Format,
        look: Look,
        folder: Path,
        names: tuple[str, ...],
        beside: Collection[str] = (),
    ) -> None:
        super().__init__(duck, part, form, look, folder)
        if not form.delimiter or len(form.delimiter) > 4 or form.delimiter in {'"', "\n", "\r"}:
            raise fault("WRONG_USE", f"{form.delimiter!r} cannot be a delimiter of a CSV file")
        self.notation = notation_of(form)
        self._plain = ""
        self.shape = CsvShape(form.delimiter, form.encoding, form.header, form.null)
        try:
            self._start = read_start(look.path, self.shape)
        except MalformedError as error:
            raise self._unreadable(f"its first line is malformed: {error}") from error
        self._delimiter = self._agreed_delimiter()
        self.names = self._header(names, beside)
        if len(self.names) == 1:
            self._suspect_delimiter(self.names[0])

    def _unreadable(self, what: str) -> FaultError:
        return fault("SOURCE_UNREADABLE", f"{self.part.uri}: {what}", uri=self.part.uri)

    def _agreed_delimiter(self) -> str:
        stated, said = self.form.delimiter, self._start.delimiter
        if said is not None and stated not in {said, Format().delimiter}:
            raise self._unreadable(f"its first line says `sep={said}`, and `format:` says that {stated!r} delimits")
        return said or stated

    def _suspect_delimiter(self, name: str) -> None:
        for other in _DELIMITERS:
            if other != self._delimiter and other in name:
                log.warning(
                    "%s has one column, %r; if %r delimits, say `format: {delimiter: %s}`",
                    self.part.uri, name, other, json.dumps(other),
                )  # fmt: skip
                return

    def _header(self, names: tuple[str, ...], beside: Collection[str]) -> tuple[str, ...]:
        first = self._start.first
        if first is None:
            return ()
        if not self.form.header:
            if len(names) != len(first):
                names = tuple(name for name in names if name not in beside)
            if names and len(names) != len(first):
                raise self._unreadable(f"it has no header and {len(first)} columns, but {len(names)} are named")
            return names or tuple(f"column_{number}" for number in range(1, len(first) + 1))
        header = [_LINE_BREAK.sub(" ", text.strip()) for text in first]
        if not all(text.isprintable() for text in header):
            raise self._unreadable(
                "its first line is not text: it is not CSV, or not in the encoding that `format:` says"
            )
        while header and not header[-1]:
            header.pop()  # As behind the values of any other line, a delimiter at the end is not the start of a column.
        if not header or "" in header:
            raise self._unreadable(f"column {header.index('') + 1 if header else 1} of its header has no name")
        if twice := sorted({text for text in header if header.count(text) > 1}):
            raise self._unreadable(f"its header names {', '.join(twice)} more than once")
        return tuple(header)

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        if self.names:
            super().read(use, numbered=numbered)
        else:
            use("SELECT 0::BIGINT AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text WHERE false")

    @property
    def skipped(self) -> int:
        return self._start.before + self._start.lines if self.form.header else self._start.before

    def _is_regular(self) -> bool:
        """Whether each line may be a record by DuckDB's reading and by our own alike."""
        look = self.look
        is_plain = len(self._delimiter) == 1 and self._delimiter != " "
        quotes_agree = not look.gap if is_plain else not look.quotes
        starts_at_once = self._start.before == (self._start.delimiter is not None) and self._start.lines == 1
        return super()._is_regular() and quotes_agree and starts_at_once and not self._has_blank_records

    @cached_property
    def _has_blank_records(self) -> bool:
        # A blank line is not a record; to DuckDB it is one of an empty value where there is one column.
        return len(self.names) < 2 and has_blank_lines(self.look.path)

    @property
    def expected(self) -> int:
        return self.look.lines - self.skipped

    def _options(self, columns: Sequence[str], delimiter: str) -> str:
        types = ", ".join(f"'{column}': '{'BIGINT' if column == 'line' else 'VARCHAR'}'" for column in columns)
        nulls = ", ".join(literal(text) for text in self.form.null) or literal(_NO_NULL)
        return f"{ROWS}, delim={literal(delimiter)}, nullstr=[{nulls}], columns={{{types}}}"

    def _raw(self) -> list[str]:
        return [f"r{number}" for number in range(len(self.names))]

    def _quick_relation(self, *, numbered: bool) -> str:
        source = self.scan(literal(str(self.look.path)))
        line = f"row_number() OVER () + {self.skipped}" if numbered else "NULL::BIGINT"
        return f"SELECT {line} AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, * FROM {source}"

    def scan(self, files: str) -> str:
        options = self._options(self._raw(), self._delimiter)
        return f"read_csv({files}, {options}, skip={self.skipped}, {_BUFFER}{self.look.new_line})"

    def together(self, lines: str, names: Sequence[str]) -> str:
        return f"SELECT NULL::BIGINT AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, * FROM ({lines})"

    def plain_text(self) -> str | None:
        """The lines of the records, where each is one, and its values are what is between its delimiters."""
        look = self.look
        is_plain = not (look.quotes or look.nul or look.crlf) and len(self._delimiter) == 1
        if len(self.names) < 2 or not is_plain or not self.form.header or not self._is_quick():
            return None
        try:
            text = look.path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return None
        lines = text.removesuffix("\n").split("\n")[self.skipped :]
        if len(lines) != self.expected or any(line.count(self._delimiter) != len(self.names) - 1 for line in lines):
            return None
        self._plain = text
        return "\n".join(lines) or None

    def relation_of_text(self) -> str:
        """The relation of the records of a `plain_text`, which is `$1`; `n` is their order."""
        nulls = ", ".join(literal(text) for text in self.form.null)
        values = (f"values[{number}]" for number in range(1, len(self.names) + 1))
        if nulls:
            values = (f"CASE WHEN {value} NOT IN ({nulls}) THEN {value} END" for value in values)
        raw = ", ".join(f"{value} AS {name}" for value, name in zip(values, self._raw(), strict=True))
        return (
            f"SELECT NULL::BIGINT AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, n, {raw} FROM "
            f"(SELECT string_split(record, {literal(self._delimiter)}) AS values, n FROM "
            "(SELECT unnest(records) AS record, generate_subscripts(records, 1) AS n FROM "
            "(SELECT string_split($1, chr(10)) AS records)))"
        )

    def put_back(self) -> None:
        """Have what `plain_text` has read in the file that is read from now on, whatever the part has become."""
        path = self.look.path  # A link to the part, or a copy.
        path.unlink()
        path.write_bytes(self._plain.encode("utf-8"))

    @property
    def form_alike(self) -> tuple[object, ...] | None:
        if not self.names or not self._is_quick():
            return None
        look = self.look
        return self.names, self._delimiter, self.form, self.notation, self.skipped, look.new_line, look.nul

    def _careful_relation(self) -> str:
        options = self._options(["line", *self._raw()], ",")
        clean = f"read_csv({literal(str(self._clean))}, {options}, {CLEAN})"
        raw = ", ".join(self._raw())
        return (
            f"SELECT line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, {raw} FROM {clean} UNION ALL BY NAME "
            f"({self._set_aside()})"
        )

    def _normalise(self) -> int:
        return normalise_csv(self.look.path, self.shape, len(self.names), self._clean, self._malformed, self._cut)
