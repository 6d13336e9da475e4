"""What a file is that is not what it should be, by its first bytes. For messages: nothing is decided by it else."""

from __future__ import annotations

import re

__all__ = ["HEAD", "likeness"]

HEAD = 4096
"""So many of a file's first bytes are looked at."""
_BINARY = (
    (b"PAR1", "a Parquet file; say `format: {type: parquet}`"),
    (b"\x1f\x8b", "a gzip file within a gzip file; pack it once"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (xls); export it as CSV"),
    (b"%PDF-", "a PDF document"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; unpack it or pack it with gzip"),
    (b"\xfd7zXZ\x00", "an xz file; unpack it or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it or pack it with gzip"),
    (b"\xff\x06\x00\x00sNaPpY", "a Snappy file; unpack it or pack it with gzip"),
    (b"Obj\x01", "an Avro file; write it as Parquet or JSON lines"),
    (b"ARROW1\x00\x00", "an Arrow file; write it as Parquet"),
    (b"SQLite format 3\x00", "an SQLite database"),
)
_BZIP = re.compile(rb"BZh[1-9]1AY&SY")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_MARKUP = re.compile(rb"<(!doctype html|html|head|body|\?xml)[\s>]", re.IGNORECASE)
_ARRAY = re.compile(rb"\[\s*\{")
_SPREAD = re.compile(rb"\{[ \t]*\r?\n")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def likeness(head: bytes, *, encoding: str, is_json: bool, has_header: bool) -> str | None:
    """What a file that begins with `head` looks like, with what to do; None if it may be CSV or JSON lines.

    :param encoding: Python's name of the one that the pipeline says.
    :param is_json: whether it is read as JSON lines.
    """
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head:
            return "an Excel workbook (xlsx); export it as CSV"
        return "a zip archive; unpack it or pack it with gzip"
    for magic, what in _BINARY:
        if head.startswith(magic) and (magic != b"PAR1" or _CONTROL.search(head)):
            return what
    if _BZIP.match(head):
        return "a bzip2 file; unpack it or pack it with gzip"
    if head.startswith(_UTF16) and encoding.startswith("utf-8"):
        return "text in UTF-16; say `format: {encoding: utf-16}`"
    return _text_likeness(head.removeprefix(b"\xef\xbb\xbf").lstrip(), is_json, has_header)


def _text_likeness(start: bytes, is_json: bool, has_header: bool) -> str | None:
    if found := _MARKUP.match(start):
        if found[1].lower() == b"?xml":
            return "an XML document, perhaps an answer that says why there is no file"
        return "an HTML page, perhaps one that says why there is no file"
    if is_json and _ARRAY.match(start):
        return "an array of JSON; write an object on each line, as `jq -c '.[]'` does"
    if is_json and _SPREAD.match(start):
        return "an object of JSON over several lines; write an object on each line, as `jq -c .` does"
    if not is_json and has_header and start.startswith((b'{"', b'[{"')):
        return "JSON; say `format: {type: jsonl}`"
    return None
