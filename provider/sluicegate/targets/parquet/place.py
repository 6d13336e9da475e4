"""The names of folders of Parquet files. Light to import."""

from __future__ import annotations

from pathlib import Path

from sluicegate.faults import fault
from sluicegate.graph.glob import is_pattern
from sluicegate.storage.uri import parse_uri

__all__ = ["lake_uri"]


def lake_uri(uri: str) -> str:
    """The one name of a folder, by which the ledger and the lock know it.

    :raises FaultError: WRONG_USE when `uri` is not a folder of this machine or in S3.
    """
    address = parse_uri(uri)
    if not address.folder or address.scheme not in {"file", "s3"} or is_pattern(uri):
        raise fault(
            "WRONG_USE",
            f"into: {uri!r} is neither table://<connection>/<[schema.]table> nor iceberg://<connection>/"
            "<namespace.table> nor a folder for Parquet files, which is s3://<bucket>/<folder>/ or a path with a slash "
            "at its end",
        )
    parts = address.key.split("/")
    if ".." in parts:
        raise fault("WRONG_USE", f"into: {uri!r} goes up by `..`: write where the folder is")
    if address.scheme == "s3":
        return f"s3://{address.bucket}/{address.key}"
    return f"file://{Path(address.key).absolute().as_posix().rstrip('/')}/"
