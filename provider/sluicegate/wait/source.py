"""Whether sources have arrived: files and objects by their storage, a table by a row in it."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.wait.verdict import Sighting

__all__ = ["Source"]

_THERE, _ABSENT = "success", "not there"


@dataclass(frozen=True)
class Source:
    """Places that no pipeline writes. `aws_conn_id` is the connection that reaches those on S3.

    `matching`: the URIs have wildcards, and each needs a file that matches. `success_marker`: a folder that Spark
    writes is not there before its `_SUCCESS`. `connection`: the one that the places themselves need.
    """

    uris: tuple[str, ...]
    aws_conn_id: str
    matching: bool = False
    success_marker: bool = True
    connection: str | None = None

    def sightings(self) -> tuple[Sighting, ...]:
        """A sighting for each URI, in their order.

        :raises FaultError: when a place cannot be asked.
        """
        return tuple(Sighting(uri, state=_THERE if self._exists(uri) else _ABSENT) for uri in self.uris)

    def _exists(self, uri: str) -> bool:
        if uri.startswith("table://"):
            from sluicegate.wait.table import has_row

            return has_row(uri)
        from sluicegate.storage import Storage

        storage = Storage(self.aws_conn_id, connection=self.connection, success_marker=self.success_marker)
        return bool(storage.matching(uri)) if self.matching else storage.exists(uri)
