"""What passed, for a target that reads it from object storage itself: it comes here only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

from sluicegate.checks.spark_job import LINE, PART
from sluicegate.ledger.ledger import OpenLetter
from sluicegate.load.checked.report import Report
from sluicegate.load.closing import Closing, Winner
from sluicegate.load.long import prepared_of
from sluicegate.load.plan import match_case, takes
from sluicegate.load.prepared import Prepared
from sluicegate.load.replacing import replaced_by
from sluicegate.load.request import LoadRequest
from sluicegate.load.staged import Staged
from sluicegate.pipeline.keys.load import Column, Mode, OnSchemaChange
from sluicegate.records.notation import PLAIN
from sluicegate.records.reader import LocalPart
from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.stream import ArrowStream
from sluicegate.targets.target import Stored, StoredForm, Table

__all__ = [
    "FOLDER_OF",
    "PASSED",
    "SAME_KEY",
    "Bring",
    "StoredClosing",
    "StoredPart",
    "StoredRecords",
    "stored_columns",
    "why_not_stored",
]

PASSED, SAME_KEY = "passed", "same_key"
FOLDER_OF = {StoredForm.PARQUET: PASSED, StoredForm.TEXT: "text"}
"""The job's folder with what passed, by the form in which a target takes it."""
Bring = Callable[[str], None]
"""Stages what is in one of the job's folders, once."""
_KINDS = {
    "string": "text", "smallint": "smallint", "int": "integer", "bigint": "bigint", "float": "real", "double": "double",
    "boolean": "boolean", "date": "date", "timestamp": "timestamptz", "timestamp_ntz": "timestamp",
}  # fmt: skip
_WIDEST = 65_535
"""Bytes of a text that every database takes which reads from object storage."""


def stored_columns(report: Report) -> dict[str, ColumnType | None]:
    """The columns of the files with their types, in their order; None for a type that is not a single value."""
    return {name: _type_of(kind) for name, kind in report.columns.items()}


def why_not_stored(request: LoadRequest, report: Report, table: Table, form: StoredForm) -> str | None:
    """Why a target cannot take what passed as it is: something is still to be asked of it, or made of it."""
    if form is StoredForm.TEXT and not request.source.startswith("s3://"):
        return "a server copies from S3 alone"
    columns = {name: type_ for name, type_ in stored_columns(report).items() if name not in {PART, LINE}}
    if request.mode is Mode.REPLACE_WINDOW and not _is_of_window(request, report):
        return "whether records are of the window is asked here"
    if request.delete_when:
        return "which records delete is asked here"
    if match_case(table, tuple(columns)):
        return "its columns differ in case from those of the table"
    for name, type_ in columns.items():
        if (why := _why_not(name, type_, request, report, table, form)) is not None:
            return f"column {name!r} {why}"
    return None


def _is_of_window(request: LoadRequest, report: Report) -> bool:
    """Whether the report says that all records are of the window, and the results of its check are not asked for."""
    column = request.window_by
    type_ = None if column is None else stored_columns(report).get(column)
    if request.results is not None or column is None or type_ is None or column in report.far:
        return False
    if type_.name not in {"date", "timestamp", "timestamptz"}:
        return False
    if report.ends is None:
        return True
    window = replaced_by(request.origin.window, column, type_, None, {})
    first, last, missing = report.ends
    if missing or first is None or last is None:
        return False
    return bool(window.start <= _moment(first, type_) and _moment(last, type_) < window.end)


def _moment(text: str, type_: ColumnType) -> date | datetime:
    """A value of the report, which has moments in UTC."""
    if type_.name == "date":
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).replace(tzinfo=UTC if type_.name == "timestamptz" else None)


def _why_not(
    name: str, type_: ColumnType | None, request: LoadRequest, report: Report, table: Table, form: StoredForm
) -> str | None:
    there, said = table.columns.get(name), request.columns.get(name, Column())
    if type_ is None:
        return f"is {report.columns[name]}"
    if said.type is not None and parse_type(said.type).name in {"json", "jsonb"}:
        return "is JSON, which is read here"
    if form is StoredForm.PARQUET and said.type is not None and parse_type(said.type).name == "time":
        return "is a time, and a text in the files"
    if name in report.far:
        return "has moments in years that are set aside here"
    if there is None:
        if table.exists and request.on_schema_change is OnSchemaChange.IGNORE:
            return None
        type_ = None if said.type is None else parse_type(said.type)
        return "has no type in `columns:`" if type_ is None else _why_not_texts(name, type_, report, form)
    if not (there.type == type_ or takes(there.type, type_) or _is_declared_so(said, there.type)):
        return f"is {type_} in the files and {there.type} in the table"
    if there.labels or (there.required and not (said.required or name in request.key)):
        return "may have values that the table does not take"
    return _why_not_texts(name, there.type, report, form)


def _why_not_texts(name: str, type_: ColumnType, report: Report, form: StoredForm) -> str | None:
    most, has_nul = report.texts.get(name, (0, False))
    if form is StoredForm.TEXT:  # A server whose lengths are in characters, as the job's are, and blanks count.
        return "has texts with a NUL" if has_nul else None
    if has_nul or most > (type_.length or _WIDEST):
        return "has texts that are longer than the table takes, or have a NUL"
    if name in report.blanks:
        return "has texts that end in blanks, and the table might take two keys for one"
    return None


def _is_declared_so(said: Column, type_: ColumnType) -> bool:
    """A text of a length, a UUID and a time of the day are texts to Spark, and were measured there; so were digits."""
    measured = {"varchar", "uuid", "time", "timestamp", "timestamptz"}
    return said.type is not None and type_.name in measured and parse_type(said.type) == type_


def _type_of(kind: str) -> ColumnType | None:
    if kind.startswith("decimal("):
        return parse_type(kind)
    return parse_type(_KINDS[kind]) if kind in _KINDS else None


class StoredPart:
    """Stands for what passed where only its columns are asked for. See `Reader`."""

    is_text, may_hold_nul, skipped, most, written, notation = False, False, 0, None, None, PLAIN

    def __init__(self, part: LocalPart, report: Report) -> None:
        self.part = part
        self.names = tuple(name for name in report.columns if name not in {PART, LINE})
        self.types: dict[str, str] = {}

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        """Nothing: it stays where it is."""

    def cut(self, most: int | None) -> None:
        """Nothing, likewise."""


class StoredRecords(Prepared):
    """Records that a target may copy. To be read, they are brought here and staged."""

    def __init__(self, staged: Staged, rows: int, unwritten: Collection[str], stored: Stored, bring: Bring) -> None:
        super().__init__(staged, rows, unwritten)
        self.stored, self._bring, self._unwritten = stored, bring, unwritten
        self._records: Prepared | None = None

    @contextmanager
    def read(
        self,
        types: Sequence[ColumnType],
        written: Callable[[ColumnType, str], str],
        between: tuple[int, int] | None = None,
        *,
        numbered: bool = False,
    ) -> Iterator[ArrowStream]:
        with self._brought().read(types, written, between, numbered=numbered) as stream:
            yield stream

    def rows_at(self) -> str:
        return self._brought().rows_at()

    def _brought(self) -> Prepared:
        self._bring(PASSED)
        if self._records is None:
            self._records = prepared_of(self._staged, self.rows, self._unwritten, self._staged.mean_bytes())
        return self._records


class StoredClosing(Closing):
    """For the letters of this load, what passed with their keys is enough; older ones need the keys of all."""

    def __init__(self, staged: Staged, parts: Iterable[LocalPart], bring: Bring) -> None:
        super().__init__(staged, parts)
        self._bring = bring

    def winners(self, letters: Sequence[OpenLetter]) -> dict[str, Winner]:
        if any(set(letter.key) == set(self._staged.key) for letter in letters if letter.key):
            self._bring(SAME_KEY if all(letter.is_new for letter in letters) else PASSED)
        return super().winners(letters)
