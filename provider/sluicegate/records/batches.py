"""Files as a stream of Arrow batches in constant memory: CSV and JSON lines by DuckDB, Parquet by Arrow.

DuckDB looks at all of a file before it decides on a column's type; Arrow's own streaming reader decides
by the first block and fails when the first million rows had no value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.sql import name_of
from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.doubles import exact_types
from sluicegate.records.utf8 import as_utf8, opened, without_said_delimiter
from sluicegate.storage.filetype import FileType

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Source", "open_source"]

_BATCH_ROWS = 65_536
_MEMORY_LIMIT = "512MB"

# The sniffer is left with the types alone: by itself it takes a line with # for a comment, drops lines
# before what it likes as a header, and reads 01/02/2013 as the day that suits the rest of the column. Of separators
# of thousands it does not ask where they are: it would read 1.5 as 15.
_CSV = """
FROM read_csv(
    $paths, delim = $delimiter, header = $header, nullstr = $null, quote = '"', escape = '"', comment = '',
    skip = 0, dateformat = '%Y-%m-%d', decimal_separator = $decimal, sample_size = -1,
    union_by_name = true, hive_partitioning = false, compression = $compression, {types}
)
"""
_CSV_AS_TEXT = """
SELECT count(*) FROM read_csv(
    $path, delim = $delimiter, header = $header, quote = '"', escape = '"', comment = '', skip = 0,
    auto_detect = false, columns = $columns, hive_partitioning = false, compression = $compression
)
"""
_JSONL = """
FROM read_json(
    $paths, format = 'newline_delimited', records = 'true', hive_partitioning = false, compression = $compression,
    {types}
)
"""
_ANY_JSON = "sample_size = -1, union_by_name = true, map_inference_threshold = -1, field_appearance_threshold = 0"


@dataclass
class Source:
    """One bound dataset, opened. `rows` counts what was read; `failure` is why reading stopped."""

    uri: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rows: int = 0
    failure: FaultError | None = None

    def reader(self) -> pa.RecordBatchReader:
        """To be read once."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self.schema, self._counted())

    def table(self) -> pa.Table:
        return self.reader().read_all()

    def _counted(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.batches:
                self.rows += batch.num_rows
                yield batch
        except Exception as error:
            # Kept as well as raised: what carries it through the author's function may change its type.
            self.failure = _unreadable(self.uri, error)
            raise self.failure from error


def open_source(
    uri: str,
    paths: Sequence[Path],
    file_type: FileType,
    format: Format | None,  # noqa: A002 - the word of the pipeline file
    scratch: Path,
) -> Source:
    """The records of `paths`, which are parts of one dataset, in order. `uri` is for messages.

    :param scratch: a folder for what does not fit into memory
    :raises FaultError: SOURCE_UNREADABLE when the files are not what they should be.
    """
    how = format or Format()
    if not paths:
        raise fault("SOURCE_UNREADABLE", f"{uri} holds no records, so its columns are not known", uri=uri)
    if all(path.stat().st_size == 0 for path in paths):
        raise fault("SOURCE_UNREADABLE", f"{uri} is empty, so its columns are not known", uri=uri)
    try:
        if file_type.kind == "parquet":
            schema, batches = _parquet(paths)
        else:
            schema, batches = _text(uri, paths, file_type, how, scratch)
    except Exception as error:
        raise _unreadable(uri, error) from error
    return Source(uri, schema, batches)


def _parquet(paths: Sequence[Path]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.unify_schemas([pq.read_schema(path) for path in paths], promote_options="permissive")

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield from _with_schema(batch, schema)

    return schema, batches()


def _with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """`batch` with all columns of all parts; those that its own part lacks are null."""
    import pyarrow as pa

    if batch.schema == schema:
        yield batch
        return
    have = set(batch.schema.names)
    rows = batch.num_rows
    columns = [
        batch.column(column.name).cast(column.type) if column.name in have else pa.nulls(rows, column.type)
        for column in schema
    ]
    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(
    uri: str, paths: Sequence[Path], file_type: FileType, how: Format, scratch: Path
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    decoded = [as_utf8(path, file_type, how.encoding, scratch / f"{n}-utf8") for n, path in enumerate(paths)]
    packed = file_type.gzip and decoded[0] == paths[0]
    arguments: dict[str, object] = {
        "paths": [str(path) for path in decoded],
        "compression": "gzip" if packed else "none",
    }
    connection = _connect(scratch)
    try:
        if file_type.kind == "csv":
            decoded, delimiter = without_said_delimiter(uri, decoded, file_type.delimiter(how), packed, scratch)
            arguments |= {"paths": [str(path) for path in decoded], "delimiter": delimiter, "header": how.header}
            arguments |= {"null": list(how.null), "decimal": how.decimal}
            relation = _csv(connection, arguments, how.decimal)
        else:
            relation = _json_lines(connection, arguments)
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        schema = reader.schema
    except Exception as error:
        if file_type.kind == "csv":
            _explain(uri, connection, decoded, arguments, error)
        connection.close()
        raise

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        finally:
            connection.close()

    return schema, batches()


def _csv(connection: duckdb.DuckDBPyConnection, arguments: dict[str, object], point: str) -> duckdb.DuckDBPyRelation:
    relation = connection.sql(_CSV.format(types="all_varchar = false"), params=arguments)
    texts = _CSV.format(types="all_varchar = true")
    exact = exact_types(connection, texts, arguments, _doubles(relation), point)
    if not exact:
        return relation
    return connection.sql(_CSV.format(types="types = $types"), params={**arguments, "types": exact})


def _json_lines(connection: duckdb.DuckDBPyConnection, arguments: dict[str, object]) -> duckdb.DuckDBPyRelation:
    """Only whole numbers come as they are written: DuckDB has made doubles of all others when it says what is there."""
    relation = connection.sql(_JSONL.format(types=_ANY_JSON), params=arguments)
    doubles = _doubles(relation)
    if not doubles:
        return relation
    texts = _JSONL.format(types="columns = $columns")
    exact = exact_types(connection, texts, {**arguments, "columns": dict.fromkeys(doubles, "JSON")}, doubles)
    if not exact:
        return relation
    columns = {name: str(type_) for name, type_ in zip(relation.columns, relation.types, strict=True)}
    cast = ", ".join(
        f"CAST(CAST({name_of(name)} AS VARCHAR) AS {type_}) AS {name_of(name)}" for name, type_ in exact.items()
    )
    columns |= dict.fromkeys(exact, "JSON")
    return connection.sql(f"SELECT * REPLACE ({cast}) {texts}", params={**arguments, "columns": columns})


def _doubles(relation: duckdb.DuckDBPyRelation) -> list[str]:
    return [name for name, type_ in zip(relation.columns, relation.types, strict=True) if str(type_) == "DOUBLE"]


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(scratch),
            "threads": "2",
            # Nothing is ever downloaded by a step.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _explain(
    uri: str,
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    arguments: dict[str, object],
    error: Exception,
) -> None:
    """Raise what names the line when the sniffer only says that it found no dialect.

    :raises FaultError: SOURCE_UNREADABLE; returns when reading as text finds nothing wrong.
    """
    for path in paths:
        columns = _column_names(path, arguments)
        try:
            shared = {name: arguments[name] for name in ("delimiter", "header", "compression")}
            connection.sql(_CSV_AS_TEXT, params={"path": str(path), "columns": columns, **shared}).fetchall()
        except Exception as precise:
            words = str(precise).partition("Possible ")[0].strip()
            if "Line" in words:
                raise fault("SOURCE_UNREADABLE", f"{uri}: {' '.join(words.split())}", uri=uri) from error


def _column_names(path: Path, arguments: dict[str, object]) -> dict[str, str]:
    with opened(path, arguments["compression"] == "gzip", "utf-8", "replace") as file:
        first: list[str] = []
        with suppress(StopIteration, csv.Error):
            first = next(csv.reader(file, delimiter=str(arguments["delimiter"])))
    return {f"{number}_{name}": "VARCHAR" for number, name in enumerate(first)}


def _unreadable(uri: str, error: Exception) -> FaultError:
    if isinstance(error, FaultError):
        return error
    found = classify(error)
    code = "SOURCE_UNREADABLE" if found.code in {"UNKNOWN", "WRONG_USE", "CODE_BROKEN"} else found.code
    detail = found.detail.partition("\nPossible ")[0]
    return fault(code, f"{uri}: {detail}", **{**found.facts, "uri": uri})
