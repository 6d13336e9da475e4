"""What a pipeline file says, as frozen values.

The shapes follow the YAML reference word for word. Everything here is plain data: no Airflow, no I/O,
no template rendered. Where a file may say a thing in several ways (a name, a list, a mapping), the
long form is what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from sluicegate.pipeline.text.quantities import Duration, Limit

LimitField = Annotated[Limit, BeforeValidator(Limit.parse)]


class Model(BaseModel):
    """Frozen, and closed: an unknown key is an error."""

    # What validates is built when something is first validated: a task that starts validates nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


class Mode(StrEnum):
    """How a load changes its target."""

    MERGE = "merge"
    INSERT_ONLY = "insert_only"
    REPLACE_WINDOW = "replace_window"
    APPEND = "append"


class OnUpstreamFailure(StrEnum):
    WAIT = "wait"
    FAIL = "fail"


class OnSchemaChange(StrEnum):
    """What a load does with a column that the target does not have."""

    FAIL = "fail"
    ADD = "add"
    IGNORE = "ignore"


class Timetable(Model):
    """A timetable of Airflow's or of one's own, by import path. What its windows are, only Airflow knows."""

    path: str
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")


class Schedule(Model):
    """When runs start. Only `cron` has windows that can be known here; it has a start. `end` is exclusive."""

    kind: Literal["cron", "timetable", "once", "none"] = "none"
    cron: str | None = None
    timetable: Timetable | None = None
    timezone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    catchup: StrictBool = False


class Retries(Model):
    count: Annotated[int, Field(ge=0, strict=True)] = 3
    delay: Duration = timedelta(seconds=30)
    max_delay: Duration = timedelta(minutes=10)


class Format(Model):
    """How a file is read. Without `type` the suffix decides; `null` lists the texts that mean NULL."""

    type: Literal["csv", "jsonl", "parquet"] | None = None
    null: tuple[str, ...] = ("",)
    delimiter: str = ","
    header: StrictBool = True
    encoding: str = "utf-8"


class Dataset(Model):
    """A place that steps read and write. `name` is None for a URI written inside a step."""

    name: str | None = None
    uri: str
    format: Format | None = None
    shared: StrictBool = False


class Column(Model):
    """Type, reading and contract of one column; from `required` on, each key but `sensitive` is a row-level check."""

    type: str | None = None
    round: StrictBool = False
    """Whether digits that the type has no room for are rounded, and times cut; else the record is set aside."""
    zone: str | None = None
    """The time zone of the column's local times."""
    null: tuple[str, ...] = ()
    """Texts that mean NULL in this column, besides those of the format."""
    required: StrictBool = False
    between: tuple[float | int | str | None, float | int | str | None] | None = None
    in_: tuple[Any, ...] | None = Field(default=None, alias="in")
    matches: str | None = None
    unique: StrictBool = False
    references: str | None = None
    sensitive: StrictBool = False


class Check(Model):
    """One expectation in Great Expectations' own words."""

    expectation: str
    kwargs: Mapping[str, Any] = Field(default_factory=dict)


class DeadLetters(Model):
    """How many records a load may set aside before it fails."""

    max: LimitField = Limit.parse("5%")


class Read(Model):
    """A dataset that a step reads: `name` or inline URI here, `pipeline.name` elsewhere."""

    dataset: str
    latest: StrictBool = False
    on_upstream_failure: OnUpstreamFailure = OnUpstreamFailure.WAIT


class After(Model):
    """A step of this pipeline (`step`), or a task of a DAG that is not ours (`dag`, `task`)."""

    step: str | None = None
    dag: str | None = None
    task: str | None = None


class Param(Model):
    """One entry of the trigger form: JSON Schema, and the default."""

    default: Any = None
    required: bool = False
    """The file gives no default: whoever starts a run has to say it."""
    description: str | None = None
    json_schema: Mapping[str, Any] = Field(default_factory=dict)


class Connections(Model):
    """Airflow connection ids."""

    aws: str = "aws_default"
    ledger: str | None = None


class CoreInstances(Model):
    type: str
    count: Annotated[int, Field(ge=1, strict=True)] = 1


class Instances(Model):
    primary: str
    core: CoreInstances | None = None


class Cluster(Model):
    """What one run's EMR cluster is made of. Anything else RunJobFlow takes goes into `run_job_flow`."""

    release: str
    instances: Instances
    log_uri: str | None = None
    service_role: str = "EMR_DefaultRole"
    job_flow_role: str = "EMR_EC2_DefaultRole"
    subnet: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    run_job_flow: Mapping[str, Any] = Field(default_factory=dict)


class Job(Model):
    """One spark-submit. `path` is a file below the dags root, or an `s3://` URI."""

    path: str
    args: tuple[str, ...] = ()


class ForEach(Model):
    """What a step is mapped over: exactly one of `items`, `output_of` and `files`."""

    items: tuple[Any, ...] | None = None
    output_of: str | None = None
    """A step whose result, a list, has the items."""
    files: str | None = None
    """A URI with `*`, `?`, `[…]` or `**`: the files that match when the run comes to it."""
    empty: Literal["fail", "skip"] = "fail"
    """What becomes of the step when no file matches."""
    max_active: Annotated[int, Field(ge=1, strict=True)] | None = None
    """How many items of a run are worked on at once; Airflow's limits hold without it."""
    label: str | None = None
    """A template: how the UI calls an item."""


class TeardownOf(Model):
    """The steps that a teardown undoes."""

    steps: tuple[str, ...]
    fail_run: StrictBool = False
    """Whether a run fails whose teardown does."""


class StepBase(Model):
    name: str
    description: str | None = None
    reads: Mapping[str, Read] = Field(default_factory=dict)
    writes: Mapping[str, str] = Field(default_factory=dict)
    """Binding to dataset key (a name of this pipeline, or the URI's own text)."""
    after: tuple[After, ...] = ()
    retries: Retries = Retries()
    timeout: Duration | None = None
    wait: Duration | None = None
    pool: str | None = None
    trigger_rule: str | None = None
    for_each: ForEach | None = None
    group: str | None = None
    """Groups within groups are joined by dots: `ingest.raw`."""
    teardown_of: TeardownOf | None = None


class LoadStep(StepBase):
    kind: Literal["load"] = "load"
    load: Read
    """What is loaded; it stands in `reads` too, under the binding `load`."""
    into: str
    """Dataset key of the target; it stands in `writes` too, under the binding `into`."""
    key: tuple[str, ...] = ()
    mode: Mode = Mode.APPEND
    newest_by: str | None = None
    format: Format | None = None
    columns: Mapping[str, Column] = Field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    suite: str | None = None
    """A Great Expectations suite as a JSON file below the dags root."""
    dead_letters: DeadLetters = DeadLetters()
    on_schema_change: OnSchemaChange = OnSchemaChange.FAIL


class SparkStep(StepBase):
    kind: Literal["spark"] = "spark"
    jobs: tuple[Job, ...]
    cluster: Cluster
    cluster_name: str
    """The key below `clusters:`, for messages and tags."""
    max_runtime: Duration = timedelta(hours=4)


class TransformStep(StepBase):
    kind: Literal["transform"] = "transform"
    function: str
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")


class PythonStep(StepBase):
    kind: Literal["python"] = "python"
    function: str
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")


class OperatorStep(StepBase):
    kind: Literal["operator"] = "operator"
    operator: str
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")


Step = Annotated[LoadStep | SparkStep | TransformStep | PythonStep | OperatorStep, Field(discriminator="kind")]


class Head(Model):
    """The plain fields of a pipeline, those that need nothing else to be understood."""

    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    fresh_within: Duration | None = None
    max_active_runs: Annotated[int, Field(ge=1, strict=True)] | None = None
    paused: StrictBool | None = None
    artifacts: str = "s3://sluicegate-artifacts/"


class Pipeline(Head):
    """One file, complete: defaults applied, names resolved within the file, nothing rendered."""

    name: str
    file: Path
    root: Path
    """The dags root: code, jobs and suites are found from here."""
    digest: str
    """sha256 (hex) of the file, of the defaults that hold for it, and of what `${env:…}` stands for in them."""
    env: tuple[str, ...] = ()
    """The names of the variables that it asks for."""
    matrix: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """Its own combination, where a file makes several pipelines."""
    schedule: Schedule = Schedule()
    params: Mapping[str, Param] = Field(default_factory=dict)
    datasets: Mapping[str, Dataset] = Field(default_factory=dict)
    """By name; a URI written inside a step stands under its own text, with `name` None."""
    steps: Mapping[str, Step]
    alerts: Mapping[str, Any] = Field(default_factory=dict)
    retries: Retries = Retries()
    dag: Mapping[str, Any] = Field(default_factory=dict)
    """Further arguments of Airflow's DAG, as written."""
    connections: Connections = Connections()

    @property
    def path(self) -> str:
        """Its file relative to the dags root, with forward slashes."""
        return self.file.relative_to(self.root).as_posix()
