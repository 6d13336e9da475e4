"""The keys of a `load` step that say what becomes of its records. How to add one: see `base`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sluicegate.pipeline.keys.base import Flag, LimitField, Mark, Model, Name, Part, Positive, SomeOf, Uri
from sluicegate.pipeline.text.quantities import Duration, Limit

__all__ = [
    "REFERENCED",
    "Check",
    "CheckOn",
    "Column",
    "CopyFrom",
    "DeadLetters",
    "Format",
    "LoadOptions",
    "Mode",
    "OnSchemaChange",
    "Overlap",
]


class Mode(StrEnum):
    """How a load changes its target."""

    MERGE = "merge"
    INSERT_ONLY = "insert_only"
    APPEND = "append"
    REPLACE_WINDOW = "replace_window"


class OnSchemaChange(StrEnum):
    """What a load does with a column that the target does not have."""

    FAIL = "fail"
    ADD_COLUMNS = "add_columns"
    IGNORE = "ignore"


class Overlap(StrEnum):
    """What a load does while another run of its pipeline loads a window that overlaps its own."""

    WAIT = "wait"
    FAIL = "fail"


class CheckOn(StrEnum):
    """Where the records of a load are checked."""

    WORKER = "worker"
    CLUSTER = "cluster"


class CopyFrom(StrEnum):
    """From where Postgres gets the records that a cluster has checked."""

    WORKER = "worker"
    S3 = "s3"


class Format(Part):
    """A format: how a file is read. A text alone is the `type`."""

    _short: ClassVar[str] = "type"

    type: Literal["csv", "jsonl", "parquet"] | None = None
    """The kind of file. Default: by suffix. Example: `csv`."""
    null: tuple[str, ...] = ("",)
    """Texts that mean NULL (CSV). Example: `["", NA]`."""
    delimiter: str = ","
    """The character between two values (CSV). Default: `,`, and a tab in a `.tsv` file. Example: `;`."""
    header: Flag = True
    """Whether the first line names the columns (CSV). Example: `false`."""
    encoding: str = "utf-8"
    """Any that Python knows. Example: `latin-1`."""
    decimal: Literal[".", ","] = "."
    """The mark before the digits of a fraction (CSV). Example: `","`."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """The mark that may separate each three digits of a number (CSV). Default: nothing. Example: `","`."""
    partitions: Flag = True
    """Whether folders such as `day=2026-01-01/` in the way to a file are columns of its records. Example: `false`."""
    success_marker: Flag = True
    """Whether a folder that Spark wrote is read only once its `_SUCCESS` is there. Example: `false`."""
    dates: Literal["day_first", "month_first"] | None = None
    """The order in dates with the year last (CSV and JSON). Default: such dates are texts. Example: `day_first`."""

    @model_validator(mode="after")
    def _require_two_separators(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"`thousands` and `decimal` are both {self.decimal!r}: say both, and different ones")
        return self


class Column(Part):
    """A column: its type and contract. A text alone is the `type`."""

    _short: ClassVar[str] = "type"

    type: Annotated[str | None, Mark.COLUMN_TYPE] = None
    """Its type. What is not one, or would be changed by the cast, is set aside. Default: that of the table, else of
    the file. Example: `numeric(12,2)`."""
    round: Flag = False
    """Digits that the type has no room for are rounded, and times cut. Without it the record is set aside. Example:
    `true`."""
    zone: Name | None = None
    """The time zone of its local times: of a `timestamptz` without a zone, and of a `timestamp` or `date` that is read
    from a value with one. Default: UTC for a `timestamptz`, none for the others. Example: `Europe/Berlin`."""
    epoch: Literal["seconds", "milliseconds", "microseconds"] | None = None
    """Its values are numbers that count from 1970 in UTC. For a timestamp or a date, `timestamptz` without a `type`.
    Example: `milliseconds`."""
    null: tuple[str, ...] = ()
    """What means NULL, besides the texts of the format; in JSON and Parquet too. Example: `["n/a", "-"]`."""
    required: Flag = False
    """A record without a value is bad. Example: `true`."""
    between: Annotated[tuple[float | int | str | None, float | int | str | None] | None, Mark.BOUNDS] = None
    """A record is bad when the value lies outside. `null` leaves an end open. Examples: `[0, 100]`, `[0, null]`."""
    in_: tuple[Any, ...] | None = Field(default=None, alias="in")
    """A record is bad when the value is none of these. Example: `[EUR, USD]`."""
    matches: str | None = None
    """A record is bad when this regular expression is found nowhere in the value. Example: `^[A-Z]{2}$`."""
    unique: Flag = False
    """All records whose value comes twice are bad. Example: `true`."""
    references: str | None = None
    """A record is bad when the value is none of those in a column of a dataset, `dataset.column` or
    `pipeline.dataset.column`. A missing value is not bad. Example: `flights.airports.faa`."""
    sensitive: Flag = False
    """Its values are `***` in dead letters. Example: `true`."""


REFERENCED = "references:"
"""How the binding of a dataset begins to which columns refer; no binding of a file has such a name."""


class Check(Model):
    """One expectation in Great Expectations' own words: `{expect_…: {column: …}}`."""

    expectation: Annotated[str, Mark.MADE]
    kwargs: Annotated[Mapping[str, Any], Mark.MADE] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.keys() <= {"expectation", "kwargs"}:
            return value
        if len(value) != 1:
            raise ValueError(f"a check is one expectation with its arguments, not {sorted(value)}")
        [(expectation, kwargs)] = value.items()
        return {"expectation": expectation, "kwargs": kwargs or {}}


class DeadLetters(Model):
    """dead_letters: how many records a load may set aside before it fails."""

    max: LimitField = Limit.parse("5%")
    """The most records that may be set aside. Examples: `1%`, `100`."""
    min_rows: Annotated[int, Field(ge=0)] = 0
    """A share is judged only from so many records on; of fewer, all may be set aside. Example: `100`."""
    keep: Annotated[Duration | None, Mark.UNCOUNTED] = None
    """For how long those that are closed are kept; open ones always are. Default: for ever. Example: `90d`."""

    def exceeded_by(self, dead: int, read: int) -> bool:
        """Whether `dead` of `read` records are more than a load may set aside."""
        return (self.max.share is None or read >= self.min_rows) and self.max.exceeded_by(dead, read)

    def allowed(self, most: int | None) -> int | None:
        """So many dead records may be set aside, of `most` records at most, None where that is not known. More are too
        many whatever comes; None when nothing says so yet.
        """
        if self.max.share is None:
            return self.max.rows
        return None if most is None else max(int(self.max.share * most), self.min_rows - 1)


_UNCOUNTED_PARTS = {
    "dead_letters": {name for name, field in DeadLetters.model_fields.items() if Mark.UNCOUNTED in field.metadata}
}


class LoadOptions(Model):
    """What a load does with its records. Its operator and its request take these too, by the same names."""

    key: SomeOf[Name] = ()
    """The columns that identify a record. Examples: `order_id`, `[carrier, day]`."""
    mode: Mode = Field(default_factory=lambda said: Mode.MERGE if said.get("key") else Mode.APPEND)
    """How it changes the table: `merge` inserts and updates by key, `insert_only` leaves what is there alone,
    `replace_window` deletes the run's window and inserts, `append` adds each source version once. Default: `merge`
    with a `key`, `append` without. Example: `append`."""
    window_by: str | None = None
    """The column by which a record belongs to a window: a date or a timestamp. For `mode: replace_window`. Records of
    other windows are set aside. Example: `day`."""
    scope: Annotated[Mapping[str, Any], Mark.SCOPE] = Field(default_factory=dict)
    """What a run is narrowed to: columns with a value, a list or a template. Other records are left out, and
    `replace_window` deletes nothing else. A value of `null` narrows nothing. Example:
    `{carrier: [AA, BA]}`."""
    delete_when: Annotated[Mapping[str, Any], Mark.SCOPE] = Field(default_factory=dict)
    """A record for which all of it holds deletes the row of its key: columns with a value or a list. For `mode: merge`.
    Example: `{op: [D, delete]}`."""
    newest_by: str | None = None
    """The column by which the newest of several records with one key stays. Example: `changed_at`."""
    format: Format | None = None
    """How its file is read; wins over the dataset's. Default: the dataset's. Example: `csv`."""
    columns: Mapping[str, Column] = Field(default_factory=dict)
    """Types and contract of columns. It need not name all of them. Example:
    `{day: date, amount: {type: "numeric(12,2)", required: true}}`."""
    checks: Annotated[tuple[Check, ...], Mark.CHECKS] = ()
    """Expectations in Great Expectations' own words. Example:
    `[{expect_table_row_count_to_be_between: {min_value: 1}}]`."""
    suite: Annotated[str | None, Mark.FILE, Mark.UNCOUNTED] = None
    """A Great Expectations suite, saved as JSON below the dags root. Example: `suites/orders.json`."""
    check_on: Annotated[CheckOn, Mark.UNCOUNTED] = CheckOn.WORKER
    """Where the records are checked: on `cluster`, by a further job of the `spark` step that writes them. For a folder
    of Parquet. Example: `cluster`."""
    copy_from: Annotated[CopyFrom, Mark.UNCOUNTED] = CopyFrom.WORKER
    """From where Postgres gets the records that a cluster has checked: with `s3` its server copies them by itself, as
    RDS and Aurora can. Example: `s3`."""
    dead_letters: DeadLetters = DeadLetters.model_construct()
    """How many records may be set aside before the load fails. Example: `{max: 1%}`."""
    skip_bad_files: Flag = False
    """Of several files, one that cannot be read, or whose columns do not fit, is a dead letter as a whole, and the
    others are loaded. Not for `mode: append`. Example: `true`."""
    on_schema_change: OnSchemaChange = OnSchemaChange.FAIL
    """What becomes of a column that the table lacks. Example: `add_columns`."""
    overlap: Annotated[Overlap, Mark.UNCOUNTED] = Overlap.WAIT
    """What to do while another run of the pipeline loads a window that overlaps this one's. Example: `fail`."""
    batch_rows: Annotated[Positive | None, Mark.UNCOUNTED] = None
    """The most records that one statement brings in; all are one transaction. Default: all at once. Example:
    `1000000`."""

    results: Annotated[Uri | None, Mark.UNCOUNTED] = None
    """A folder to which each run writes what its checks saw, in Great Expectations' own JSON. Example:
    `s3://lake/checks/{{ ds }}/`."""
    data_docs: Annotated[Flag, Mark.UNCOUNTED] = False
    """Write the results as a page of Great Expectations too. Example: `true`."""

    def counted(self) -> dict[str, Any]:
        """What the file says of all that decides what becomes of a source's records.

        A key that is not said is not counted: one that is new does not make every load another one.
        """
        counted = {name for name, field in LoadOptions.model_fields.items() if Mark.UNCOUNTED not in field.metadata}
        said = self.model_dump(include=counted, exclude=_UNCOUNTED_PARTS, exclude_defaults=True)
        return {name: value for name, value in said.items() if value != {}}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The options that are `given` by name; None means the default.

        What `each` gave was validated before and is taken as it is: compiling the validation would cost a task
        that starts more than all else that it does with its pipeline.
        """
        whole = given.keys() == cls.model_fields.keys() and isinstance(given["columns"], Mapping)
        if (
            whole
            and isinstance(given["mode"], Mode)
            and isinstance(given["on_schema_change"], OnSchemaChange)
            and isinstance(given["overlap"], Overlap)
            and isinstance(given["check_on"], CheckOn)
            and isinstance(given["copy_from"], CopyFrom)
            and isinstance(given["dead_letters"], DeadLetters)
            and isinstance(given["format"], Format | None)
            and all(isinstance(check, Check) for check in given["checks"])
            and all(isinstance(column, Column) for column in given["columns"].values())
        ):
            return cls.model_construct(**given)
        return cls.model_validate({name: value for name, value in given.items() if value is not None})

    def each(self) -> dict[str, Any]:
        """All options by name, as they are."""
        return {name: getattr(self, name) for name in LoadOptions.model_fields}
