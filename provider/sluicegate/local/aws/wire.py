"""What S3 sends and receives over HTTP: bodies, digests, conditions, ranges and XML. Knows no bucket."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, TypeAlias
from urllib.parse import quote
from xml.etree import ElementTree as ET

from werkzeug.datastructures import Range
from werkzeug.http import parse_date
from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.objects import CHUNK, PRECONDITION, Condition, ObjectInfo, S3Error, Staged

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# Sub-resources we have no answer for; without this list `GET ?acl` would return the object itself.
UNSUPPORTED = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)
_MAX_XML = 8 << 20


def raw_path(request: Request) -> str:
    """The path as sent: still percent-encoded, `//` kept."""
    uri = str(request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or quote(request.path))
    path = uri.partition("?")[0]
    return re.sub(r"^https?://[^/]*", "", path)


def body_of(request: Request) -> Iterator[bytes]:
    """The request's body; with `aws-chunked` framing taken off. IncompleteBody if it ends early."""
    if not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        received = 0
        while chunk := request.stream.read(CHUNK):
            received += len(chunk)
            yield chunk
        if request.content_length is not None and received != request.content_length:
            raise incomplete()
        return
    while True:
        header = request.stream.readline(4096)
        try:
            left = int(header.partition(b";")[0], 16)
        except ValueError as error:
            raise incomplete() from error
        if left == 0:
            break
        while left:
            chunk = request.stream.read(min(left, CHUNK))
            if not chunk:
                raise incomplete()
            left -= len(chunk)
            yield chunk
        request.stream.readline(2)
    for line in iter(lambda: request.stream.readline(4096).strip(), b""):
        name, _, value = line.decode("latin-1").partition(":")
        request.environ[f"sluicegate.trailer.{name.strip().lower()}"] = value.strip()


def incomplete() -> S3Error:
    return S3Error("IncompleteBody", "The request ended before all of its body was received.")


def verify(request: Request, staged: Staged) -> None:
    """The digests that a client sends along; those we cannot compute cheaply are not looked at."""
    sent_md5 = request.headers.get("Content-MD5")
    if sent_md5 and sent_md5 != base64.b64encode(bytes.fromhex(staged.md5)).decode():
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    name = "x-amz-checksum-crc32"
    crc = request.headers.get(name) or request.environ.get(f"sluicegate.trailer.{name}")
    if crc and crc != base64.b64encode(staged.crc32.to_bytes(4, "big")).decode():
        raise S3Error("BadDigest", "The CRC32 you specified did not match the calculated checksum.")
    length = request.headers.get("x-amz-decoded-content-length")
    if length and length != str(staged.size):
        raise incomplete()


def condition(request: Request) -> Condition:
    match, none = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if none is not None and none != "*":
        raise S3Error("NotImplemented", "If-None-Match on a write takes '*' only.", 501)
    return Condition(match.strip('"') if match else None, none == "*")


def read_status(request: Request, info: ObjectInfo) -> int:
    """200 or 304 for a read, PreconditionFailed otherwise (RFC 9110, 13.2.2)."""
    headers = request.headers
    modified = datetime.fromtimestamp(int(info.modified), UTC)
    failed = S3Error("PreconditionFailed", PRECONDITION, 412)
    if match := headers.get("If-Match"):
        if info.etag not in _tags(match):
            raise failed
    elif (since := parse_date(headers.get("If-Unmodified-Since"))) and modified > since:
        raise failed
    if none := headers.get("If-None-Match"):
        return 304 if info.etag in _tags(none) else 200
    if (since := parse_date(headers.get("If-Modified-Since"))) and modified <= since:
        return 304
    return 200


class _Any(frozenset[str]):
    def __contains__(self, item: object) -> bool:
        return True


def _tags(header: str) -> frozenset[str]:
    return _Any() if header.strip() == "*" else frozenset(tag.strip().strip('"') for tag in header.split(","))


def byte_range(header: Range | None, size: int) -> tuple[int, int]:
    """(start, end) in bytes, end exclusive; the whole where no single byte range is asked for."""
    if header is None or header.units != "bytes" or len(header.ranges) != 1:
        return 0, size
    if size and -header.ranges[0][0] >= size:
        return 0, size  # of the last so many bytes there are fewer
    found = header.range_for_length(size)
    if found is None or found[0] is None or found[1] is None:
        raise S3Error("InvalidRange", "The requested range is not satisfiable.", 416)
    return found[0], found[1]


def slice_of(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = end - start
        while left and (chunk := file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk


def integer(text: str, name: str) -> int:
    if not text.isdecimal():
        raise S3Error("InvalidArgument", f"{name} must be a number, not {text!r}.")
    return int(text)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


Child: TypeAlias = ET.Element | tuple[str, str]


def tree(tag: str, *children: Child, text: str | None = None) -> ET.Element:
    element = ET.Element(tag)
    element.text = text
    for child in children:
        if isinstance(child, tuple):
            ET.SubElement(element, child[0]).text = child[1]
        else:
            element.append(child)
    return element


def xml(tag: str, *children: Child) -> bytes:
    return bytes(ET.tostring(tree(tag, *children), encoding="utf-8", xml_declaration=True))


def document(tree: ET.Element) -> Response:
    tree.set("xmlns", NAMESPACE)
    body = ET.tostring(tree, encoding="utf-8", xml_declaration=True)
    return Response(body, content_type="application/xml")


def xml_response(tag: str, *children: Child) -> Response:
    return document(tree(tag, *children))


def parse_xml(request: Request) -> ET.Element:
    body = b"".join(body_of(request)) if (request.content_length or 0) <= _MAX_XML else b""
    try:
        return ET.fromstring(body)  # noqa: S314 (expat has refused entity bombs since 2.4.1)
    except ET.ParseError as error:
        raise S3Error("MalformedXML", "The XML you provided was not well-formed, or too long.") from error


def children(element: ET.Element, tag: str) -> list[ET.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == tag]


def text_of(element: ET.Element, tag: str) -> str:
    return next((child.text or "" for child in children(element, tag)), "")
