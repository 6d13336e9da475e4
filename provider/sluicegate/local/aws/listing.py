"""Lists a bucket as S3 does: pages, markers and rolled-up folders."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote
from xml.etree import ElementTree as ET

from sluicegate.local.aws.objects import ObjectInfo, Objects, S3Error
from sluicegate.local.aws.wire import integer, iso, tree


def list_objects(objects: Objects, bucket: str, asked: Mapping[str, str]) -> ET.Element:
    """The answer to ListObjects, or ListObjectsV2 if that is asked; raises S3Error."""
    v2 = asked.get("list-type") == "2"
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    limit = min(integer(asked.get("max-keys", "1000"), "max-keys"), 1000)
    token = asked.get("continuation-token") if v2 else None
    try:
        last = base64.urlsafe_b64decode(token or "").decode()
    except ValueError as error:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect.") from error
    last = last or asked.get("start-after" if v2 else "marker", "")
    names = grouped(objects.names(bucket, prefix, flat=delimiter == "/"), prefix, delimiter)
    rest = [name for name in names if name.encode() > last.encode()]
    page, truncated = rest[:limit], len(rest) > limit
    encode = quote if asked.get("encoding-type") == "url" else str
    result = tree("ListBucketResult", ("Name", bucket), ("Prefix", encode(prefix)))
    result.append(tree("MaxKeys", text=str(limit)))
    result.append(tree("IsTruncated", text=str(truncated and limit > 0).lower()))
    if delimiter:
        result.append(tree("Delimiter", text=encode(delimiter)))
    if asked.get("encoding-type") == "url":
        result.append(tree("EncodingType", text="url"))
    if v2:
        result.append(tree("KeyCount", text=str(len(page))))
        if token:
            result.append(tree("ContinuationToken", text=token))
        if truncated and page:
            following = base64.urlsafe_b64encode(page[-1].encode()).decode()
            result.append(tree("NextContinuationToken", text=following))
    else:
        result.append(tree("Marker", text=encode(last)))
        if truncated and page:
            result.append(tree("NextMarker", text=encode(page[-1])))
    for name in page:
        if _is_group(name, prefix, delimiter):
            result.append(tree("CommonPrefixes", ("Prefix", encode(name))))
        else:
            with suppress(S3Error):  # gone since it was listed
                result.append(_contents(objects.head(bucket, name), encode(name)))
    return result


def grouped(names: list[str], prefix: str, delimiter: str) -> list[str]:
    """The names with those that have the delimiter after the prefix rolled up; order kept, no doubles."""
    if not delimiter:
        return names
    rolled_up = (
        prefix + name.removeprefix(prefix).partition(delimiter)[0] + delimiter
        if _is_group(name, prefix, delimiter)
        else name
        for name in names
    )
    return list(dict.fromkeys(rolled_up))


def _is_group(name: str, prefix: str, delimiter: str) -> bool:
    return bool(delimiter) and delimiter in name[len(prefix) :]


def _contents(info: ObjectInfo, name: str) -> ET.Element:
    return tree(
        "Contents",
        ("Key", name),
        ("LastModified", iso(info.modified)),
        ("ETag", f'"{info.etag}"'),
        ("Size", str(info.size)),
        ("StorageClass", "STANDARD"),
    )
