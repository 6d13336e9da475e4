"""Opens a part of a source with the reader of its format."""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.csvfile import CsvReader
from sluicegate.records.dialect import Dialect
from sluicegate.records.jsonlines import JsonReader
from sluicegate.records.kinds import HEAD, likeness
from sluicegate.records.look import look_through
from sluicegate.records.parquet import ParquetReader
from sluicegate.records.partitioned import with_partitions
from sluicegate.records.reader import LocalPart, Reader
from sluicegate.storage.filetype import file_type
from sluicegate.storage.partitions import partition_values

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["open_part"]


def open_part(
    duck: DuckDBPyConnection, part: LocalPart, form: Format, folder: Path, names: Sequence[str], dialect: Dialect
) -> Reader:
    """A reader for `part`, also of what its partition folders say. `names` are the columns of a file without a header,
    empty when unknown; those of its folders may be among them.

    :raises FaultError: SOURCE_UNREADABLE when it is not in the format, WRONG_USE for an unknown format.
    """
    reader = _open(duck, part, form, folder, names, dialect)
    return with_partitions(duck, reader) if form.partitions else reader


def _open(
    duck: DuckDBPyConnection, part: LocalPart, form: Format, folder: Path, names: Sequence[str], dialect: Dialect
) -> Reader:
    kind = file_type(part.uri, form)
    part = replace(part, path=_linked(part, folder))
    if kind.kind == "parquet":
        return ParquetReader(duck, part, dialect)
    _require_encoding(form.encoding)
    is_json = kind.kind == "jsonl"
    look = look_through(part.path, folder / f"part{part.number}.unpacked", uri=part.uri, json=is_json)
    _refuse_other_kinds(part, look.path, form, is_json=is_json)
    if is_json:
        return JsonReader(duck, part, form, look, folder)
    form = form.model_copy(update={"delimiter": kind.delimiter(form)})
    folders = partition_values(part.uri) if form.partitions else {}
    return CsvReader(duck, part, form, look, folder, tuple(names), folders)


def _require_encoding(name: str) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), name)
    except LookupError as error:
        raise fault("WRONG_USE", f"unknown encoding {name!r} in format:") from error


def _refuse_other_kinds(part: LocalPart, path: Path, form: Format, *, is_json: bool) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    encoding = codecs.lookup(form.encoding).name
    what = likeness(head, encoding=encoding, is_json=is_json, has_header=form.header)
    if what is not None:
        kind = "JSON lines" if is_json else "CSV"
        raise fault("SOURCE_UNREADABLE", f"{part.uri} is read as {kind} and looks like {what}", uri=part.uri)


def _linked(part: LocalPart, folder: Path) -> Path:
    """A path to the same file that DuckDB does not take for a pattern of several, and that says nothing of its name: of
    files of one form the same statements come.
    """
    link = folder / f"part{part.number}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(part.path.absolute())
    return link
