"""A table that is a set of Parquet files: what is asked of it, and its files as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sluicegate.faults import fault
from sluicegate.ledger.entries import Load
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.storage import Part
from sluicegate.targets.parquet.dialect import column_type
from sluicegate.targets.target import Replaced

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["DataFile", "Files", "NewFile", "columns_of"]


@dataclass(frozen=True)
class DataFile:
    """One file of the table. `name` is that within the folder; `part` its version, in S3."""

    name: str
    uri: str
    footer: pq.FileMetaData
    part: Part | None = None

    @property
    def rows(self) -> int:
        return int(self.footer.num_rows)

    @property
    def columns(self) -> dict[str, ColumnType]:
        return {field.name: column_type(field) for field in self.footer.schema.to_arrow_schema()}

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """The least and the greatest value of a column; None where the file does not say them."""
        least: list[Any] = []
        greatest: list[Any] = []
        for number in range(self.footer.num_row_groups):
            group = self.footer.row_group(number)
            found = (group.column(one) for one in range(group.num_columns))
            stated = next((one.statistics for one in found if one.path_in_schema == column), None)
            if stated is None or not stated.has_min_max:
                return None
            least.append(stated.min)
            greatest.append(stated.max)
        return (min(least), max(greatest)) if least else None


@dataclass(frozen=True)
class NewFile:
    """What the file `name` is to be; None is for that of the load's own. Without a `path` it goes."""

    name: str | None
    path: Path | None


class Files(Protocol):
    """The files of a table, and how they become others."""

    uri: str
    """By which the ledger and the lock know the table."""
    lost: str

    def files(self) -> tuple[DataFile, ...]:
        """Those of the table, sorted by name."""

    def columns(self, files: Sequence[DataFile]) -> Mapping[str, ColumnType]:
        """Those of the table that has these files."""

    def schema(self, columns: Mapping[str, ColumnType]) -> pa.Schema:
        """How files have columns.

        :raises FaultError: SCHEMA_MISMATCH when a column is of a type that is not written here.
        """

    def local(self, file: DataFile, into: Path) -> Path:
        """The file as one of this machine."""

    def new_path(self, work: Path, *, keep: bool = True) -> Path:
        """Where a file can be written that is to be staged; in `work` if it is not for keeps."""

    def place_of(self, mode: Mode, replaced: Replaced | None) -> str | None:
        """The file that new rows go to; None for one of the load's own."""

    def stage_all(self, new: Sequence[NewFile], columns: Mapping[str, ColumnType], load: Load) -> Mapping[str, Any]:
        """Bring what is new to where the table is, unseen, and say as JSON what `switch` is to do with it."""

    def switch(self, switch: Mapping[str, Any], require_lock: Callable[[], None]) -> bool:
        """Make the table what `switch` says, also where some of that is done; False where what was staged is lost.

        :param require_lock: to be called before each step.
        """

    def sweep(self) -> None:
        """Remove what attempts left behind that were killed. Only under the lock."""


def columns_of(uri: str, files: Sequence[DataFile]) -> dict[str, ColumnType]:
    """Those of all files, in the order in which they are met.

    :raises FaultError: SCHEMA_MISMATCH when files have one as different types.
    """
    found: dict[str, tuple[ColumnType, str]] = {}
    for file in files:
        for name, type_ in file.columns.items():
            before, where = found.setdefault(name, (type_, file.name))
            if before != type_:
                raise fault(
                    "SCHEMA_MISMATCH",
                    f"{uri}: the column {name!r} is {before} in {where} and {type_} in {file.name}",
                )
    return {name: type_ for name, (type_, _) in found.items()}
