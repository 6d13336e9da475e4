"""A table of Iceberg as a target: its catalog, and the work that it has in common with folders of Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.targets.iceberg.place import parse_iceberg
from sluicegate.targets.iceberg.table import IcebergFiles
from sluicegate.targets.parquet.target import FilesTarget

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

__all__ = ["IcebergTarget"]


class IcebergTarget(FilesTarget):
    """The table at `uri`, `iceberg://<connection>/<namespace.table>`, in `catalog`."""

    def __init__(self, uri: str, catalog: Catalog, ledger: str, **words: Any) -> None:
        super().__init__(IcebergFiles(uri, catalog, parse_iceberg(uri)[1]), ledger, **words)
