"""What a URI points to: a scheme, a place in it, and whether it is a folder of parts. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sluicegate.faults.errors import fault

__all__ = ["Address", "parse_uri"]


@dataclass(frozen=True)
class Address:
    """`scheme` is `s3` or `gs` with a bucket and a key, `file` with a path in `key`, or `http` or `https` with a host
    and a path. A folder ends in a slash.
    """

    uri: str
    scheme: Literal["s3", "gs", "file", "http", "https"]
    bucket: str
    key: str
    folder: bool

    @property
    def path(self) -> Path:
        return Path(self.key)

    @property
    def name(self) -> str:
        """The last segment, with its suffix."""
        return self.key.rstrip("/").rpartition("/")[2]

    def child(self, name: str) -> str:
        """The URI of `name` in this folder."""
        return self.uri.removesuffix("/") + "/" + name


def parse_uri(uri: str) -> Address:
    """`s3://bucket/key`, `file:///absolute`, `file://relative` or a plain path, taken literally (no `%20`).

    :raises FaultError: WRONG_USE for any other scheme, and for an S3 URI without a key.
    """
    scheme, separator, rest = uri.partition("://")
    if not uri.strip() or (separator and not rest):
        raise fault("WRONG_USE", f"{uri!r} is not the URI of a file")
    if not separator:
        return Address(uri, "file", "", uri, uri.endswith("/"))
    match scheme:
        case "s3" | "s3a" | "s3n" | "gs":
            bucket, _, key = rest.partition("/")
            kind: Literal["s3", "gs"] = "gs" if scheme == "gs" else "s3"
            if not bucket or not key:
                raise fault("WRONG_USE", f"{uri}: expected {kind}://<bucket>/<key>")
            return Address(uri, kind, bucket, key, key.endswith("/"))
        case "http" | "https":
            host, _, path = rest.partition("#")[0].partition("?")[0].partition("/")
            if not host or not path:
                raise fault("WRONG_USE", f"{uri}: expected https://<host>/<file>")
            web: Literal["http", "https"] = "https" if scheme == "https" else "http"
            return Address(uri, web, host, path, path.endswith("/") and "?" not in uri)
        case "file":
            return Address(uri, "file", "", rest, rest.endswith("/"))
        case "table" | "iceberg":
            raise fault("WRONG_USE", f"{uri} is a table; files are read and written here")
        case _:
            raise fault("WRONG_USE", f"{uri}: unknown scheme {scheme}://; expected s3://, gs://, file:// or https://")
