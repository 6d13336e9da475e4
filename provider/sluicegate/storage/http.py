"""Files on web servers: one version from the first byte to the last, resumed where a body breaks off.

A strong ETag is the version. A weak one, and Last-Modified, are not: both may stay the same for other bytes (a second
has room for two versions). Such a file is downloaded to be hashed, and the download is kept until it is fetched.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.http import LATER
from sluicegate.graph.glob import Glob
from sluicegate.storage.credentials import ANONYMOUS, credentials_of
from sluicegate.storage.part import Part, downloaded
from sluicegate.storage.traces import Traces
from sluicegate.storage.uri import Address
from sluicegate.storage.web import Web, shown_url

if TYPE_CHECKING:
    import httpx

__all__ = ["WebFiles"]

_CHUNK = 1 << 20
_PLAIN = {"Accept-Encoding": "identity"}
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER = 47
"""zlib's word for the header of gzip or of zlib."""
_NOT_THERE = frozenset({202, 204, 404, 410})
"""Also an export that is still being made (202), and what has no content: neither is an empty file."""


@dataclass(frozen=True)
class _Head:
    etag: str | None
    """Without quotes; None unless it is strong."""
    size: int
    modified: datetime


@dataclass
class _Download:
    """How far a download came."""

    sink: IO[bytes]
    etag: str | None = None
    resumable: bool = False
    digest: Any = None

    def restart(self) -> None:
        self.sink.seek(0)
        self.sink.truncate()
        self.digest = hashlib.sha256()

    @property
    def offset(self) -> int:
        return self.sink.tell() if self.resumable else 0


class WebFiles:
    """One kind of place behind `Storage`. Only reading, one file at a time.

    :param connection: the Airflow connection whose credentials are sent, if any
    """

    def __init__(self, connection: str | None = None, *, web: Web | None = None, hasty: bool = False) -> None:
        self._connection = connection
        self._how: dict[str, Any] = {"connect_timeout": 3, "read_timeout": 5, "attempts": 1} if hasty else {}
        self._made = web
        self._kept: dict[tuple[str, str], IO[bytes]] = {}
        """Downloads that were made to know a version, by URI and version: files that are gone with this process."""

    @property
    def _web(self) -> Web:
        if self._made is None:
            known = credentials_of(self._connection) if self._connection else ANONYMOUS
            self._made = Web(known, **self._how)
        return self._made

    def list_parts(self, address: Address) -> tuple[Part, ...]:
        head = self._head(address.uri)
        if head is None:
            return ()
        if head.etag is not None:
            return (Part(address.uri, head.size, head.etag, head.modified),)
        sink = tempfile.TemporaryFile()  # noqa: SIM115 - kept until it is fetched
        _, version = self._download(address.uri, sink)
        self._kept[address.uri, version] = sink
        return (Part(address.uri, sink.tell(), version, head.modified),)

    def list_folder(self, address: Address) -> tuple[tuple[Part, ...], Traces]:
        raise _no_listing(address)

    def list_matching(self, folder: Address, wanted: Glob) -> tuple[Part, ...]:
        raise _no_listing(folder)

    def sizes(self, address: Address) -> Iterator[tuple[str, int]]:
        """The bytes of the file.

        :raises FaultError: WRONG_USE when the server does not say how many there are.
        """
        if (head := self._head(address.uri)) is None:
            return
        if not head.size:
            raise fault("WRONG_USE", f"{shown_url(address.uri)}: the server does not say how long it is")
        yield "", head.size

    def glimpse(self, address: Address) -> Iterator[tuple[str, Part]]:
        """The file, where the server names its version by itself."""
        head = self._head(address.uri)
        if head is None:
            return
        if head.etag is None:
            raise fault("WRONG_USE", f"{shown_url(address.uri)}: the server does not say which version it has")
        yield "", Part(address.uri, head.size, head.etag, head.modified)

    def below(self, address: Address, depth: int | None) -> Iterator[str]:
        raise _no_listing(address)

    def part_uris(self, address: Address) -> tuple[str, ...]:
        return (address.uri,) if self.exists(address) else ()

    def exists(self, address: Address) -> bool:
        """Whether the server has the file."""
        return self._head(address.uri) is not None

    def fetch(self, part: Part, address: Address, into: Path) -> Path:
        """Download `part` to a new file in `into`; its name keeps the suffix.

        :raises FaultError: SOURCE_CHANGED when there is another version by now, SOURCE_MISSING when none.
        """
        target = into / downloaded(part, address.name)
        with target.open("wb") as sink:
            kept = self._kept.pop((part.uri, part.version), None)
            if kept is not None:
                with kept:
                    kept.seek(0)
                    shutil.copyfileobj(kept, sink, _CHUNK)
                return target
            if part.version not in self._download(part.uri, sink, part.version):
                raise _changed(part.uri)
        return target

    def verify(self, part: Part, address: Address) -> None:
        """Nothing to do: what was fetched is one version, whatever has come since."""

    def put_atomic(self, path: Path, address: Address) -> None:
        raise fault("WRONG_USE", f"{shown_url(address.uri)}: nothing can be written to a web server")

    def delete_parts(self, addresses: tuple[Address, ...]) -> None:
        raise fault("WRONG_USE", f"{shown_url(addresses[0].uri)}: nothing can be deleted on a web server")

    def neighbours(self, address: Address, limit: int) -> tuple[str, ...]:
        return ()

    def _head(self, url: str) -> _Head | None:
        """What the server says of the file; None when it has none."""

        def is_gone(answer: httpx.Response) -> bool:
            return answer.status_code in _NOT_THERE

        # What refuses a HEAD may answer a GET: an address may be signed for that alone. Else it says why at least.
        with self._web.open(
            "HEAD", url, headers=_PLAIN, accept=lambda answer: answer.status_code not in LATER
        ) as answer:
            if is_gone(answer):
                return None
            if answer.is_success:
                return _head_of(answer)
        with self._web.open("GET", url, headers=_PLAIN, accept=is_gone) as answer:
            return None if is_gone(answer) else _head_of(answer)

    def _download(self, url: str, sink: IO[bytes], wanted: str | None = None) -> tuple[str | None, str]:
        """Bring the whole body into `sink`; its strong ETag, if any, and the sha256 (hex) of what came.

        :param wanted: a version: another strong ETag is SOURCE_CHANGED at once
        """
        state = _Download(sink)
        state.restart()
        fruitless = 0
        while True:
            before = sink.tell()
            try:
                self._continue(url, state, wanted)
                return state.etag, state.digest.hexdigest()
            except FaultError:
                raise
            except Exception as broken:
                found = classify(broken)
                fruitless = 0 if state.resumable and sink.tell() > before else fruitless + 1
                if found.code not in {"NETWORK", "TIMED_OUT"} or fruitless >= self._web.attempts:
                    code = "SOURCE_UNREADABLE" if "DecodingError" in type(broken).__name__ else found.code
                    raise fault(code, f"{shown_url(url)}: {found.detail}", uri=url) from broken
                self._web.sleep(0.5 * 2**fruitless)

    def _continue(self, url: str, state: _Download, wanted: str | None) -> None:
        more = {}
        if offset := state.offset:
            more = {"Range": f"bytes={offset}-", "If-Range": f'"{state.etag}"'}
        with self._web.open("GET", url, headers=_PLAIN | more) as answer:
            if answer.status_code in _NOT_THERE:
                raise fault("SOURCE_MISSING", f"{shown_url(url)}: HTTP {answer.status_code}, it is not there", uri=url)
            head = _head_of(answer)
            if (wanted_etag := state.etag) is not None and head.etag != wanted_etag:
                raise _changed(url)
            if wanted is not None and head.etag is not None and head.etag != wanted and not _is_sha256(wanted):
                raise _changed(url)
            if not (offset and answer.status_code == 206 and _begins_at(answer, offset)):
                if offset and answer.status_code == 206:
                    raise _changed(url)
                state.restart()
            if answer.status_code == 206 and not offset and not _is_whole(answer):
                raise fault("SOURCE_UNREADABLE", f"{shown_url(url)}: the server sends only a part of it", uri=url)
            packed = answer.headers.get("Content-Encoding", "identity").lower().strip()
            state.etag = head.etag
            state.resumable = head.etag is not None and packed == "identity"
            as_it_is = packed == "identity" or (packed.endswith("gzip") and _is_gzip(url))
            for chunk in answer.iter_raw() if as_it_is else _unpacked(answer.iter_raw(), packed, url):
                state.sink.write(chunk)
                state.digest.update(chunk)


def _head_of(answer: httpx.Response) -> _Head:
    said = answer.headers.get("ETag", "").strip()
    strong = said[1:-1] if len(said) > 2 and said[0] == said[-1] == '"' else None
    size = answer.headers.get("Content-Length", "")
    try:
        modified = parsedate_to_datetime(answer.headers.get("Last-Modified", "")).astimezone(UTC)
    except (TypeError, ValueError):
        modified = datetime.now(UTC)
    return _Head(strong, int(size) if size.isdigit() else 0, modified)


def _unpacked(chunks: Iterable[bytes], packed: str, url: str) -> Iterator[bytes]:
    """What a server compressed on the way, to its end: httpx takes half of it for all, and a way that it does not know
    for none.

    :raises FaultError: NETWORK where it ends too early, SOURCE_UNREADABLE where it is not compressed so.
    """
    if packed not in _PACKED:
        raise fault("SOURCE_UNREADABLE", f"{shown_url(url)}: it comes compressed ({packed}), and was not asked for so")
    stream, begun = zlib.decompressobj(_ANY_HEADER), False
    try:
        for chunk in chunks:
            left = chunk
            while left:
                if stream.eof:
                    stream = zlib.decompressobj(_ANY_HEADER)
                begun = True
                yield stream.decompress(left)
                left = stream.unused_data
    except zlib.error as error:
        raise fault(
            "SOURCE_UNREADABLE", f"{shown_url(url)}: it is not {packed} as it says: {error}", uri=url
        ) from error
    if begun and not stream.eof:
        raise fault("NETWORK", f"{shown_url(url)}: its {packed} ends too early", uri=url)


def _is_whole(answer: httpx.Response) -> bool:
    found = re.fullmatch(r"bytes 0-(\d+)/(\d+)", answer.headers.get("Content-Range", "").strip())
    return found is not None and int(found[1]) + 1 == int(found[2])


def _begins_at(answer: httpx.Response, offset: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {offset}-")


def _is_gzip(url: str) -> bool:
    return url.partition("?")[0].lower().endswith((".gz", ".gzip"))


def _is_sha256(version: str) -> bool:
    return len(version) == 64 and all(sign in "0123456789abcdef" for sign in version)


def _changed(url: str) -> FaultError:
    return fault("SOURCE_CHANGED", f"{shown_url(url)} was replaced meanwhile", uri=url)


def _no_listing(address: Address) -> FaultError:
    return fault("WRONG_USE", f"{shown_url(address.uri)}: files on a web server cannot be listed; name one file")
