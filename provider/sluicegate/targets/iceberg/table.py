"""An Iceberg table as a set of Parquet files: a load is one snapshot, whose commit is prepared first and repeatable.

Files and metadata of a snapshot are written, and not yet part of the table, before its commit. What the commit is to be
is kept as the intent, in the words of Iceberg's REST protocol: it names the snapshot that the table must have, so that
it cannot take effect twice, nor over what somebody else has committed.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sluicegate.faults import fault
from sluicegate.ledger.entries import Load
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.parquet.dialect import as_field, column_type, schema_of
from sluicegate.targets.parquet.files import DataFile, NewFile
from sluicegate.targets.target import Replaced

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile as IcebergFile
    from pyiceberg.table import Table

__all__ = ["LOAD", "IcebergFiles"]

LOAD = "sluicegate.load"
"""The property of a snapshot that names its load."""
_NEW = "new"
_DOC = b"doc"


class IcebergFiles:
    """See `Files`.

    :param name: the table's, `namespace.table`
    """

    lost = "SOURCE_MISSING"

    def __init__(self, uri: str, catalog: Catalog, name: str) -> None:
        self.uri = uri
        self._catalog, self._name = catalog, name
        self._there: dict[str, IcebergFile] = {}

    def _table(self) -> Table | None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        try:
            return self._catalog.load_table(self._name)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None

    def files(self) -> tuple[DataFile, ...]:
        """:raises FaultError: SCHEMA_MISMATCH for a table that has what a load does not write."""
        import pyarrow.parquet as pq

        table, found = self._table(), []
        self._there = {}
        if table is None:
            return ()
        if not table.spec().is_unpartitioned():
            raise self._unfit("it is partitioned")
        known = {field.name for field in table.schema().fields}
        for task in table.scan().plan_files():
            if task.delete_files:
                raise self._unfit("it has delete files: compact it")
            path = task.file.file_path
            with table.io.new_input(path).open() as file:
                footer = pq.read_metadata(cast("Any", file))
            if not set(footer.schema.names) <= known:
                raise self._unfit("columns were renamed or dropped: rewrite its files")
            self._there[path] = task.file
            found.append(DataFile(path, path, footer))
        return tuple(sorted(found, key=lambda file: file.name))

    def _unfit(self, why: str) -> Exception:
        return fault("SCHEMA_MISMATCH", f"{self.uri} is not a table that a load can change: {why}")

    def columns(self, files: Sequence[DataFile]) -> Mapping[str, ColumnType]:
        table = self._table()
        if table is None:
            return {}
        return {field.name: _noted(field) for field in table.schema().as_arrow()}

    def schema(self, columns: Mapping[str, ColumnType]) -> pa.Schema:
        import pyarrow as pa

        # Iceberg has no number of 16 bits.
        fields = [pa.field(one.name, pa.int32() if one.type == pa.int16() else one.type) for one in schema_of(columns)]
        return pa.schema([field.with_metadata({_DOC: str(columns[field.name]).encode()}) for field in fields])

    def local(self, file: DataFile, into: Path) -> Path:
        table = self._table()
        assert table is not None
        path = into / f"{uuid.uuid4().hex}.parquet"
        with table.io.new_input(file.uri).open() as source, path.open("wb") as sink:
            shutil.copyfileobj(cast("Any", source), sink, 1 << 20)
        return path

    def new_path(self, work: Path, *, keep: bool = True) -> Path:
        return work / f"{uuid.uuid4().hex}.parquet"

    def place_of(self, mode: Mode, replaced: Replaced | None) -> str | None:
        """New rows go to a file of their own; those that change stay where they are."""
        return None if mode in {Mode.APPEND, Mode.REPLACE_WINDOW} else _NEW

    def stage_all(self, new: Sequence[NewFile], columns: Mapping[str, ColumnType], load: Load) -> Mapping[str, Any]:
        from pyiceberg.io.pyarrow import parquet_file_to_data_file
        from pyiceberg.table import CommitTableRequest, TableIdentifier
        from pyiceberg.table.name_mapping import create_mapping_from_schema

        table = self._table() or self._create(columns)
        transaction = table.transaction()
        if added := [name for name in columns if name not in {field.name for field in table.schema().fields}]:
            with transaction.update_schema() as update:
                update.union_by_name(self.schema({name: columns[name] for name in added}))
        mapping = create_mapping_from_schema(transaction.table_metadata.schema()).model_dump_json()
        transaction.set_properties({"schema.name-mapping.default": mapping})
        identity = f"{load.source_version} {load.config_digest}"
        with transaction.update_snapshot({LOAD: identity}).overwrite() as snapshot:
            for one in new:
                if one.name in self._there:
                    snapshot.delete_data_file(self._there[one.name])
                if one.path is not None:
                    place = self._upload(table, one.path)
                    snapshot.append_data_file(parquet_file_to_data_file(table.io, transaction.table_metadata, place))
        namespace, _, own = self._name.rpartition(".")
        request = CommitTableRequest(
            identifier=TableIdentifier(namespace=namespace.split("."), name=own),  # type: ignore[arg-type]
            requirements=transaction._requirements,
            updates=transaction._updates,
        )
        snapshot_id = transaction.table_metadata.current_snapshot_id
        return {"snapshot": snapshot_id, "commit": request.model_dump(mode="json", by_alias=True)}

    def _create(self, columns: Mapping[str, ColumnType]) -> Table:
        """An empty table, which is seen at once."""
        self._catalog.create_namespace_if_not_exists(self._name.rpartition(".")[0])
        return self._catalog.create_table(self._name, self.schema(columns))

    def _upload(self, table: Table, path: Path) -> str:
        place = f"{table.location().rstrip('/')}/data/{path.name}"
        with path.open("rb") as source, table.io.new_output(place).create() as sink:
            shutil.copyfileobj(source, cast("Any", sink), 1 << 20)
        path.unlink()
        return place

    def switch(self, switch: Mapping[str, Any], require_lock: Callable[[], None]) -> bool:
        from pyiceberg.exceptions import CommitFailedException
        from pyiceberg.table import CommitTableRequest

        require_lock()
        table = self._table()
        if table is None:
            return False
        if table.snapshot_by_id(switch["snapshot"]) is not None:
            return True
        request = CommitTableRequest.model_validate(switch["commit"])
        try:
            self._catalog.commit_table(table, request.requirements, request.updates)
        except CommitFailedException:
            return False
        return True

    def sweep(self) -> None:
        """Nothing to do: files of snapshots that were never committed are found by Iceberg's own upkeep."""


def _noted(field: pa.Field[Any]) -> ColumnType:
    """The type of a column, as its comment says it if that is what it is."""
    from sluicegate.targets.parquet.dialect import ParquetDialect

    doc = (field.metadata or {}).get(_DOC)
    if doc is not None:
        said = ParquetDialect().parse(doc.decode())
        if said.native is None and str(as_field("x", said).type).replace("int16", "int32") == _plain(field):
            return said
    return column_type(field.with_type(_of(field)))


def _plain(field: pa.Field[Any]) -> str:
    return str(_of(field))


def _of(field: pa.Field[Any]) -> pa.DataType:
    """Arrow's usual type of what Iceberg reads as its large one."""
    import pyarrow as pa

    usual: dict[str, pa.DataType] = {"large_string": pa.string(), "large_binary": pa.binary()}
    own: pa.DataType = field.type
    return usual.get(str(own), own)
