"""CSV as a relation of raw texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal
from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.lines import CsvShape, Look, first_record, normalise_csv
from sluicegate.records.reader import LocalPart
from sluicegate.records.textfile import ROWS, TextReader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CsvReader"]


class CsvReader(TextReader):
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
            raise fault(
                "SOURCE_UNREADABLE", f"{part.uri}: its first line is malformed: {error}", uri=part.uri
            ) from error
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
        if not all(text.isprintable() for text in header):
            detail = "its first line holds what is no text: it is not CSV, or not in the encoding that `format:` says"
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri}: {detail}", uri=self.part.uri)
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
        return f"{ROWS}, delim={literal(delimiter)}, nullstr=[{nulls}], columns={{{types}}}"

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
