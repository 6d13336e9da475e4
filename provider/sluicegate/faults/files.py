"""Errors of what reads files and templates (DuckDB, Arrow, compression, Jinja, pydantic) as faults."""

from __future__ import annotations

import re
from typing import Any

from sluicegate.faults.shape import Match, starts_with

__all__ = ["match"]

_DUCKDB = {
    "OutOfMemoryException": "OUT_OF_MEMORY",
    "ConstraintException": "CONSTRAINT_VIOLATED",
    "PermissionException": "FILE_DENIED",
    "HTTPException": "NETWORK",
    "InterruptException": "TIMED_OUT",
    "InvalidInputException": "SOURCE_UNREADABLE",
    "ConversionException": "SOURCE_UNREADABLE",
    "OutOfRangeException": "SOURCE_UNREADABLE",
    "InvalidTypeException": "SOURCE_UNREADABLE",
    "TypeMismatchException": "SOURCE_UNREADABLE",
    "BinderException": "WRONG_USE",
    "CatalogException": "WRONG_USE",
    "ParserException": "WRONG_USE",
    "SyntaxException": "WRONG_USE",
    "NotImplementedException": "WRONG_USE",
}
_ARROW = {
    "ArrowMemoryError": "OUT_OF_MEMORY",
    "ArrowCapacityError": "OUT_OF_MEMORY",
    "ArrowNotImplementedError": "WRONG_USE",
    "ArrowInvalid": "SOURCE_UNREADABLE",
    "ArrowTypeError": "SOURCE_UNREADABLE",
    "ArrowSerializationError": "SOURCE_UNREADABLE",
}
_UNREADABLE = (
    "gzip.BadGzipFile",
    "zlib.error",
    "_lzma.LZMAError",
    "zipfile.BadZipFile",
    "tarfile.ReadError",
    "_csv.Error",
    "json.decoder.JSONDecodeError",
    "xml.etree.ElementTree.ParseError",  # a SyntaxError, and not one of Python's
    "yaml.error.YAMLError",
    "pandas.errors.EmptyDataError",
    "pandas.errors.ParserError",
)
# How Arrow's own client of S3 says it.
_OF_S3 = re.compile(r"AWS Error ([A-Z_]+) during (\w+) operation(?:: .*?\bHTTP (?:status|response code):? (\d{3}))?")
_S3 = {
    "ACCESS_DENIED": "AWS_DENIED",
    "INVALID_ACCESS_KEY_ID": "AWS_DENIED",
    "SIGNATURE_DOES_NOT_MATCH": "AWS_DENIED",
    "NO_SUCH_BUCKET": "AWS_NOT_FOUND",
    "NO_SUCH_KEY": "SOURCE_MISSING",
    "RESOURCE_NOT_FOUND": "SOURCE_MISSING",
    "SLOW_DOWN": "AWS_THROTTLED",
    "THROTTLING": "AWS_THROTTLED",
    "NETWORK_CONNECTION": "AWS_UNAVAILABLE",
    "INTERNAL_FAILURE": "AWS_UNAVAILABLE",
    "SERVICE_UNAVAILABLE": "AWS_UNAVAILABLE",
    "REQUEST_TIMEOUT": "AWS_UNAVAILABLE",
}


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if starts_with(names, "_duckdb.", "duckdb."):
        return _duckdb(error, names)
    if starts_with(names, "pyarrow."):
        return _by_name(names, _ARROW)
    if starts_with(names, *_UNREADABLE) or isinstance(error, UnicodeDecodeError):
        return Match("SOURCE_UNREADABLE")
    if isinstance(error, EOFError) and "Compressed file ended" in str(error):
        return Match("SOURCE_UNREADABLE")
    if isinstance(error, OSError) and (said := _OF_S3.search(str(error))):
        return Match(_S3.get(said[1], "AWS_REJECTED"), None, {"aws_code": said[1], "operation": said[2]})
    if starts_with(names, "jinja2.exceptions.TemplateError"):
        return Match("WRONG_USE")
    if starts_with(names, "pydantic_core._pydantic_core.ValidationError"):
        return Match("WRONG_USE", _places(error))
    return None


def _duckdb(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if not any(name.endswith("duckdb.IOException") for name in names):
        return _by_name(names, _DUCKDB)
    words = str(error)
    if "No space left" in words or "max_temp_directory_size" in words:
        return Match("DISK_FULL")
    if "Could not set lock" in words:
        return Match("WAREHOUSE_BUSY")
    if "No files found" in words or "No such file" in words or "does not exist" in words:
        return Match("SOURCE_MISSING")
    if "Permission denied" in words:
        return Match("FILE_DENIED")
    return Match("SOURCE_UNREADABLE")


def _by_name(names: tuple[str, ...], table: dict[str, str]) -> Match | None:
    for name in names:
        if code := table.get(name.rpartition(".")[2]):
            return Match(code)
    return None


def _places(error: Any) -> str:
    """Where and why, without the values, which may be secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    where = (f"{'.'.join(str(key) for key in each['loc']) or 'value'}: {each['msg']}" for each in found[:10])
    return f"{error.title}: " + "; ".join(where)
