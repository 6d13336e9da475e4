"""The values that columns refer to: read from the dataset that has them, once each, into the stage's DuckDB.

A table is asked for its distinct values, files are read as a load reads them. They are held by DuckDB, which spills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sluicegate.checks.rule import split_reference
from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.diagnostics import hint
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.casts import Cast
from sluicegate.records.dialect import Dialect
from sluicegate.records.notation import PLAIN, Notation, notation_of
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart, Reader
from sluicegate.records.types import ColumnType
from sluicegate.storage.part import Part
from sluicegate.targets.target import Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Files", "Referenced", "ReferencedTable", "References", "open_referenced"]


@dataclass(frozen=True)
class Referenced:
    """Where a dataset is that columns refer to: a `table://`, or files of one format."""

    uris: tuple[str, ...]
    format: Format = field(default_factory=Format)


class ReferencedTable(Protocol):
    """A table whose values are asked for; a target is one."""

    def inspect(self) -> Table: ...

    def values(self, column: str) -> Iterator[list[str]]: ...


def open_referenced(uri: str) -> ReferencedTable:
    """The table at a `table://` URI, by its Airflow connection."""
    from sluicegate.ledger.conninfo import conninfo_of
    from sluicegate.targets.connection import parse_table
    from sluicegate.targets.open import is_redshift, open_cluster
    from sluicegate.targets.postgres.target import PostgresTarget

    connection, table = parse_table(uri)
    if is_redshift(connection):
        from sluicegate.targets.redshift.place import RedshiftTable
        from sluicegate.targets.redshift.target import RedshiftReader

        return RedshiftReader(RedshiftTable.at(uri), open_cluster(connection), application="references")
    return PostgresTarget(conninfo_of(connection), table, application="references")


class Files(Protocol):
    """Where the parts of files come from."""

    def require_parts(self, uris: str | Sequence[str]) -> tuple[Part, ...]: ...

    def fetch(self, part: Part, into: Path) -> Path: ...

    def put_atomic(self, path: Path, uri: str) -> None: ...


@dataclass(frozen=True)
class References:
    """Fills a table of DuckDB with the values that a column may have.

    :param datasets: where each dataset is, by its name in `references`
    :param tables: opens the table at a `table://` URI
    """

    duck: DuckDBPyConnection
    datasets: Mapping[str, Referenced]
    files: Files
    tables: Callable[[str], ReferencedTable]
    dialect: Dialect
    folder: Path

    def fill(self, column: str, reference: str, type_: ColumnType, number: int) -> str:
        """The name of a table with the column `value`, each value that `column` may have, once.

        :param reference: `dataset.column` or `pipeline.dataset.column`
        :raises FaultError: CHECK_BROKEN when there is no such column, or it is of another kind; SOURCE_MISSING when
            the dataset does not exist; whatever reading it raises.
        """
        name, wanted = f"referenced_{number}", split_reference(reference)
        if wanted is None:
            raise fault("CHECK_BROKEN", f"columns.{column}.references: {reference!r} is not dataset.column")
        dataset, other = wanted
        if (found := self.datasets.get(dataset)) is None:
            known = ", ".join(self.datasets) or "none"
            detail = f"columns.{column}.references: it is not said where {dataset!r} is (references: {known})"
            raise fault("CHECK_BROKEN", detail)
        self.duck.execute(f"CREATE OR REPLACE TEMP TABLE {name}_all (value {type_.duck})")
        if found.uris[0].startswith("table://"):
            self._from_table(found.uris[0], other, column, type_, f"{name}_all")
        else:
            self._from_files(found, other, column, type_, f"{name}_all", number)
        value = self.dialect.identity(type_, "value")
        self.duck.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT DISTINCT {value} AS value FROM {name}_all "
            "WHERE value IS NOT NULL"
        )
        self.duck.execute(f"DROP TABLE {name}_all")
        return name

    def _from_table(self, uri: str, other: str, column: str, type_: ColumnType, into: str) -> None:
        table = self.tables(uri)
        there = table.inspect()
        if not there.exists:
            raise fault(
                "SOURCE_MISSING", f"columns.{column}.references: the table {there.name} does not exist", uri=uri
            )
        if (found := there.columns.get(other)) is None:
            raise self._no_column(column, there.name, other, tuple(there.columns))
        if found.type.kind != type_.kind or (type_.kind == "moment" and found.type.name != type_.name):
            detail = f"columns.{column}.references: {column} is {type_}, and {other} of {there.name} is {found.type}"
            raise fault("CHECK_BROKEN", f"{detail}; make them agree")
        value = Cast(type_).value("text", "VARCHAR")
        for texts in table.values(other):
            self.duck.execute(f"INSERT INTO {into} SELECT {value} FROM (SELECT unnest($1::VARCHAR[]) AS text)", [texts])

    def _from_files(
        self, found: Referenced, other: str, column: str, type_: ColumnType, into: str, number: int
    ) -> None:
        folder = self.folder / f"references-{number}"
        folder.mkdir(exist_ok=True)
        for place, part in enumerate(self.files.require_parts(found.uris)):
            local = LocalPart(place, part.uri, part.version, self.files.fetch(part, folder))
            reader = open_part(self.duck, local, found.format, folder, (), self.dialect)
            if other not in reader.names:
                raise self._no_column(column, part.uri, other, reader.names)
            made = _value(reader, other, type_, notation_of(found.format))

            def use(relation: str, made: str = made) -> int:
                good = f"SELECT CASE WHEN why IS NULL THEN {made} END FROM ({relation})"
                row = self.duck.execute(f"INSERT INTO {into} {good}").fetchone()
                assert row is not None
                return int(row[0])

            reader.read(use, numbered=False)

    @staticmethod
    def _no_column(column: str, place: str, other: str, names: Sequence[str]) -> FaultError:
        there = hint(other, names) or f" (there is {', '.join(names)})"
        return fault("CHECK_BROKEN", f"columns.{column}.references: {place} has no column {other!r}{there}")


def _value(reader: Reader, name: str, type_: ColumnType, notation: Notation) -> str:
    """SQL of a value as a load reads it."""
    cast = Cast(type_, notation=notation if reader.is_text else PLAIN)
    kind = "VARCHAR" if reader.is_text else reader.types.get(name, "VARCHAR")
    raw = cast.present(f"r{reader.names.index(name)}", kind)
    raw, kind = cast.written(raw, kind, reader.notation)
    return cast.value(raw, kind)
