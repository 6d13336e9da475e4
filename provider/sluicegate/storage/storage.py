"""The one door to datasets as bytes: picks the place by the URI's scheme, and makes its client when needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sluicegate.faults.errors import fault
from sluicegate.graph.glob import Glob, is_pattern
from sluicegate.storage.gcs import DEFAULT_CONNECTION, GcsObjects, gcs_client
from sluicegate.storage.http import WebFiles
from sluicegate.storage.local import LocalFiles
from sluicegate.storage.part import MARKER, Part, is_part
from sluicegate.storage.place import Place
from sluicegate.storage.s3 import S3Client, S3Objects, s3_client
from sluicegate.storage.traces import Traces, base_of, is_spark_part
from sluicegate.storage.uri import Address, parse_uri

__all__ = ["Storage"]


class Storage:
    """Reads and writes whole files at `s3://`, `gs://`, `file://` and plain paths, and reads them at `https://`. Errors
    are `FaultError`.

    :param aws_conn_id: the Airflow connection that the S3 client comes from, at its first use
    :param client: a boto3 S3 client to use instead; outside Airflow
    :param connection: the Airflow connection that the dataset itself names: to its web server, or in place of the usual
        one to S3 or Google
    :param success_marker: whether a folder that Spark writes must have its `_SUCCESS` before it is read
    :param hasty: gives up after seconds where others would try again
    """

    def __init__(
        self,
        aws_conn_id: str = "aws_default",
        *,
        client: S3Client | None = None,
        connection: str | None = None,
        success_marker: bool = True,
        hasty: bool = False,
    ) -> None:
        self.aws_conn_id = aws_conn_id
        self.connection = connection
        self.success_marker = success_marker
        self.hasty = hasty
        self._places: dict[str, Place] = {}
        if client is not None:
            self._places["s3"] = S3Objects(client)

    def list_parts(self, uri: str) -> tuple[Part, ...]:
        """The files at `uri`, or those that match it, sorted by name; empty when there is none. A local file is read
        for its hash.
        """
        place, address = self._at(uri)
        found = place.list_parts(address)
        if found or not is_pattern(uri):  # a file may be called like a pattern
            return found
        wanted = Glob(uri)
        return place.list_matching(_around(wanted, address), wanted)

    def require_parts(self, uris: str | Iterable[str]) -> tuple[Part, ...]:
        """The files at all of `uris`, in their order; one that several of them name is there once.

        :raises FaultError: SOURCE_MISSING when one of `uris` does not exist, the detail says what is there;
            SOURCE_UNFINISHED when Spark has not written all of it.
        """
        wanted = [uris] if isinstance(uris, str) else list(uris)
        if not wanted:
            raise fault("SOURCE_MISSING", "the dataset has no window in the window of this run")
        parts: dict[str, Part] = {}
        for uri in wanted:
            found, why = self._look(uri)
            if found is None:
                raise self._missing(uri)
            if why is not None:
                raise fault("SOURCE_UNFINISHED", f"{uri} {why}", uri=uri)
            for part in found:
                parts.setdefault(part.uri, part)
        return tuple(parts.values())

    def glimpse(self, uri: str, most: int) -> tuple[Part, ...] | None:
        """The parts at `uri`, or the files that match it, by no more than a listing: a file of this machine has its
        size and time for a version. None where there are more than `most` files to be looked at.
        """
        place, address = self._at(uri)
        wanted = Glob(uri) if is_pattern(uri) else None
        seen = list(islice(place.glimpse(address if wanted is None else _around(wanted, address)), most + 1))
        if len(seen) > most:
            return None
        return tuple(
            part
            for name, part in sorted(seen, key=lambda one: one[0])
            if (part.size and wanted.matches(name) if wanted else not name or is_part(name, part.size))
        )

    def exists(self, uri: str) -> bool:
        """Whether a file is at `uri`, or matches it; for a folder, a part or the marker that it was written whole.

        What Spark has not finished is not there yet.
        """
        place, address = self._at(uri)
        if not address.folder and not is_pattern(uri):
            return place.exists(address)
        found, why = self._look(uri)
        return found is not None and why is None

    def _look(self, uri: str) -> tuple[tuple[Part, ...] | None, str | None]:
        """What is at `uri`, None if nothing is, and why it must not be read yet."""
        place, address = self._at(uri)
        if is_pattern(uri) or not address.folder:
            found = self.list_parts(uri)
            return found or None, self._why_unfinished(found) if is_pattern(uri) else None
        found, traces = place.list_folder(address)
        why = None
        if self.success_marker:
            why = traces.why_unfinished(lambda: base_of(uri) != uri and self._has_marker(base_of(uri)))
        is_there = found or traces.marker is not None or why is not None
        return (found if is_there else None), why

    def _why_unfinished(self, parts: Iterable[Part]) -> str | None:
        """The same of files that match a pattern, by the folders that Spark wrote them to."""
        for folder in sorted({base_of(part.uri) for part in parts if is_spark_part(part.uri)}):
            if self.success_marker and not self._has_marker(folder):
                return Traces(has_spark_parts=True).why_unfinished(lambda: False)
        return None

    def _has_marker(self, folder: str) -> bool:
        place, address = self._at(folder + MARKER)
        return place.exists(address)

    def size(self, uri: str) -> int:
        """The bytes of all parts at `uri`, or of the files that match it; 0 without any. Keeps no list of them."""
        place, address = self._at(uri)
        if is_pattern(uri):
            wanted = Glob(uri)
            found = place.sizes(_around(wanted, address))
            return sum(size for name, size in found if wanted.matches(name))
        return sum(size for name, size in place.sizes(address) if not name or is_part(name, size))

    def matching(self, uri: str) -> tuple[str, ...]:
        """The URIs of the files that match `uri`, which has wildcards, sorted by name; empty ones are left out."""
        wanted = Glob(uri)
        place, address = self._at(uri)
        folder = _around(wanted, address)
        return tuple(folder.child(name) for name in sorted(place.below(folder, wanted.depth)) if wanted.matches(name))

    def fetch(self, part: Part, into: Path) -> Path:
        """The content of `part` as a local file: a local one in place, any other as a new file in `into`.

        :raises FaultError: SOURCE_CHANGED when `part` has another version now, SOURCE_MISSING when none.
        """
        place, address = self._at(part.uri)
        return place.fetch(part, address, into)

    def verify(self, part: Part) -> None:
        """Check, after a fetched local file was read, that it was the version of `part` to the end.

        :raises FaultError: as `fetch` does.
        """
        place, address = self._at(part.uri)
        place.verify(part, address)

    def put_atomic(self, path: Path, uri: str) -> None:
        """Make `uri` have the content of the file at `path`; a reader sees the old or the new, never half.

        :raises FaultError: WRONG_USE when `uri` is a folder.
        """
        place, address = self._at(uri)
        if address.folder:
            raise fault("WRONG_USE", f"{uri} is a folder; a file is written to a path in it")
        place.put_atomic(path, address)

    def part_uris(self, uri: str) -> tuple[str, ...]:
        """The URIs of `list_parts`, without reading local files for their hash."""
        place, address = self._at(uri)
        return place.part_uris(address)

    def table_files(self, uri: str) -> tuple[tuple[Part | str, ...], str | None]:
        """The files of a table in the folder at `uri`, local ones by their URIs; and what it is, if another format
        says which of them count.
        """
        place, address = self._at(uri)
        found: tuple[tuple[Part | str, ...], Traces]
        if isinstance(place, LocalFiles):
            found = place.part_uris(address), place.traces(address)
        else:
            found = place.list_folder(address)
        return found[0], found[1].table

    def delete_parts(self, parts: Iterable[Part | str]) -> None:
        """Remove `parts` (or the files at these URIs); one that is gone already is not an error."""
        addresses = [parse_uri(part if isinstance(part, str) else part.uri) for part in parts]
        for scheme in dict.fromkeys(address.scheme for address in addresses):
            if same := tuple(address for address in addresses if address.scheme == scheme):
                self._place(same[0]).delete_parts(same)

    def switch(self, staged: str, uri: str) -> None:
        """Make the file at `uri` what the one at `staged` is; a reader sees the old or the new, never half.

        Locally `staged` is renamed, so both are of one folder; in S3 it is copied in the server, and stays.

        :raises FaultError: SOURCE_MISSING when `staged` is gone; WRONG_USE where files cannot be switched.
        """
        place, address = self._at(uri)
        _as_lake(place, uri).switch(parse_uri(staged), address)

    def tail(self, uri: str, size: int) -> bytes:
        """The last `size` bytes of the file at `uri`; all of it where it is smaller."""
        place, address = self._at(uri)
        return _as_lake(place, uri).tail(address, size)

    def region(self, uri: str) -> str:
        """The Region of the bucket that `uri` is in; empty where there is none."""
        place, address = self._at(uri)
        return place.region(address) if isinstance(place, S3Objects) else ""

    def _missing(self, uri: str) -> Exception:
        place, address = self._at(uri)
        what = "does not exist"
        if is_pattern(uri):
            what, address = "matches no file", _around(Glob(uri), address)
        if isinstance(place, WebFiles):
            return fault("SOURCE_MISSING", f"{uri} does not exist, says the server", uri=uri)
        near = place.neighbours(address, limit=5)
        there = f"beside it there is {', '.join(near)}" if near else "its folder is empty or does not exist"
        return fault("SOURCE_MISSING", f"{uri} {what}; {there}", uri=uri)

    def _at(self, uri: str) -> tuple[Place, Address]:
        address = parse_uri(uri)
        return self._place(address), address

    def _place(self, address: Address) -> Place:
        if address.scheme not in self._places:
            self._places[address.scheme] = self._open(address.scheme)
        return self._places[address.scheme]

    def _open(self, scheme: str) -> Place:
        if scheme == "file":
            return LocalFiles()
        if scheme == "s3":
            return S3Objects(s3_client(self.connection or self.aws_conn_id, hasty=self.hasty))
        if scheme == "gs":
            return GcsObjects(gcs_client(self.connection or DEFAULT_CONNECTION))
        return WebFiles(self.connection, hasty=self.hasty)


def _as_lake(place: Place, uri: str) -> LocalFiles | S3Objects:
    if not isinstance(place, LocalFiles | S3Objects):
        raise fault("WRONG_USE", f"{uri}: tables of files are kept in folders of this machine and in S3")
    return place


def _around(wanted: Glob, address: Address) -> Address:
    """The folder below which the matches of a pattern at `address` are."""
    # Not parsed from the folder's own URI: that may be a whole bucket.
    inside = address.key.removesuffix(wanted.uri.removeprefix(wanted.folder))
    return replace(address, uri=wanted.folder, key=inside, folder=True)
