"""Opens a part of a source with the reader of its format."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.csvfile import CsvReader
from sluicegate.records.dialect import Dialect
from sluicegate.records.jsonlines import JsonReader
from sluicegate.records.lines import look_through
from sluicegate.records.parquet import ParquetReader
from sluicegate.records.reader import LocalPart, Reader
from sluicegate.storage.filetype import file_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["open_part"]


def open_part(
    duck: DuckDBPyConnection, part: LocalPart, form: Format, folder: Path, names: Sequence[str], dialect: Dialect
) -> Reader:
    """A reader for `part`. `names` are the columns of a file without a header, empty when unknown.

    :raises FaultError: SOURCE_UNREADABLE when it is not in the format, WRONG_USE for an unknown format.
    """
    kind = file_type(part.uri, form)
    part = replace(part, path=_without_wildcards(part, folder))
    if kind.kind == "parquet":
        return ParquetReader(duck, part, dialect)
    try:
        codecs.lookup(form.encoding)
    except LookupError as error:
        raise fault("WRONG_USE", f"unknown encoding {form.encoding!r} in format:") from error
    look = look_through(part.path, folder / f"part{part.number}.unpacked", uri=part.uri)
    if kind.kind == "csv":
        form = form.model_copy(update={"delimiter": kind.delimiter(form)})
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
