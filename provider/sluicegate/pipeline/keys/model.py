"""What a pipeline file says, as frozen values. How to add a key: see `base`.

The shapes follow the YAML reference word for word. Everything here is plain data: no Airflow, no I/O,
no template rendered. Where a file may say a thing in several ways (a name, a list, a mapping), the
long form is the model here.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sluicegate.pipeline.keys.alerts import Channel
from sluicegate.pipeline.keys.base import (
    Arguments,
    Duration,
    Flag,
    Mark,
    Model,
    Name,
    Named,
    Part,
    Positive,
    SomeOf,
    Uri,
)
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.faults import FaultRule
from sluicegate.pipeline.keys.limits import Pools, Trigger
from sluicegate.pipeline.keys.load import (
    REFERENCED,
    Check,
    Column,
    DeadLetters,
    Format,
    LoadOptions,
    Mode,
    OnSchemaChange,
)
from sluicegate.pipeline.keys.steps import (
    After,
    FetchStep,
    ForEach,
    Job,
    LoadStep,
    OnUpstreamFailure,
    OnUpstreamSkipped,
    OperatorStep,
    PythonStep,
    Read,
    Retries,
    SparkStep,
    Step,
    StepBase,
    TeardownOf,
    TransformStep,
)

__all__ = [
    "REFERENCED", "After", "Channel", "Check", "Cluster", "Column", "Connections", "Dataset", "DeadLetters",
    "Defaults", "FetchStep", "ForEach", "Format", "Head", "Job", "LoadOptions", "LoadStep", "Mode",
    "Model", "OnSchemaChange", "OnUpstreamFailure", "OnUpstreamSkipped", "OperatorStep", "Param", "Pipeline",
    "PythonStep", "Read", "Receipts", "Retries", "Schedule", "SparkStep", "Step", "StepBase", "TeardownOf",
    "TransformStep",
]  # fmt: skip


class Schedule(Model):
    """schedule: when runs start. A run's window is the time between two ticks of the cron; it runs after its window.
    `none`, `once` or a cron may be given alone.
    """

    kind: Annotated[Literal["cron", "timetable", "once", "none"], Mark.MADE] = "none"
    """Only `cron` has windows that can be known here; it has a start."""
    cron: Annotated[str | None, Mark.CRON, Mark.FILLED] = None
    """Five fields, or a preset. It needs a `start`. Examples: `0 7 * * *`, `"@daily"`."""
    timetable: Annotated[Name | None, Mark.FILLED] = None
    """In place of a cron, a timetable of Airflow's or of a plugin by its import path. Example:
    `airflow.sdk.DeltaDataIntervalTimetable`."""
    with_: Arguments = Field(default_factory=dict, alias="with")
    """The arguments of the timetable. Example: `{delta: 90m}`."""
    timezone: Name = "UTC"
    """The time zone of `cron`, `start`, `end` and `ds`, by its IANA name. Example: `Europe/Berlin`."""
    start: datetime | None = None
    """The beginning of the first window. Examples: `2026-01-01`, `2026-01-01T06:00:00`."""
    end: datetime | None = None
    """No window begins then or later. Example: `2027-01-01`."""
    catchup: Flag = False
    """Whether windows that are past already run too. Example: `true`."""

    def __hash__(self) -> int:
        return hash((self.kind, self.cron, self.timezone, self.start, self.end))


class Dataset(Part):
    """A dataset: a place that steps read and write. A URI alone is the `uri`."""

    _short: ClassVar[str] = "uri"

    name: Annotated[str | None, Mark.MADE] = None
    """None for a URI that is written inside a step."""
    uri: Uri
    """Where it is: a template that knows `ds`, `window` and `params`. One that ends in `/` is a folder. Examples:
    `s3://landing/orders/{{ ds }}.csv`, `table://warehouse/public.orders`."""
    format: Format | None = None
    """How its files are read. Default: by suffix. Examples: `csv`, `{null: ["", NA]}`."""
    connection: Name | None = None
    """The Airflow connection that reaches it: to its web server, which gets credentials from it and nothing else; or in
    place of the usual one to S3 or Google. Example: `partner_api`."""
    shared: Flag = False
    """Two may write to this place. Example: `true`."""


class Param(Part):
    """A param: JSON Schema with a default. A value alone is the `default`."""

    _short: ClassVar[str] = "default"
    _more: ClassVar[str | None] = "any other keyword of JSON Schema"

    type: ClassVar[Annotated[Any, Mark.PARAM_TYPE, Mark.FILLED]]
    """The type of its values. Example: `string`."""
    default: Any = None
    """Its value in a run that says nothing else; `null` makes it nullable. Scheduled pipelines need one. Example:
    `DE`."""
    description: str | None = None
    """Shown beside it in the form. Example: `One carrier only`."""
    required: Annotated[bool, Mark.MADE] = False
    """The file gives no default: the person who starts a run has to say it."""
    json_schema: Annotated[Mapping[str, Any], Mark.MADE] = Field(default_factory=dict)


class Connections(Part):
    """connections: ids of Airflow connections."""

    _blank: ClassVar[bool] = True

    aws: str = "aws_default"
    """For S3 and EMR. Example: `aws_lake`."""
    ledger: str | None = None
    """The Postgres that keeps the ledger of loads into folders, and the watermarks of `fetch` steps. Example:
    `warehouse`."""
    redshift: SomeOf[Name] = ()
    """Those that lead to a Redshift. The file alone does not show it; `check` refuses what a Redshift cannot have only
    where it is said. Examples: `redshift`, `[redshift, redshift_eu]`."""


class Receipts(Part):
    """receipts: what is kept of each try of a step: code, configuration, inputs, counts, fault."""

    _blank: ClassVar[bool] = True

    keep: Duration = timedelta(days=400)
    """How long a receipt is kept; later runs of the pipeline delete it then. Example: `90d`."""


class Defaults(Model):
    """defaults.yaml: holds for the pipelines in its folder and below: all keys of a pipeline but `matrix`, and these,
    which are allowed here only.
    """

    _blank: ClassVar[bool] = True

    connections: Connections = Connections.model_construct()
    """Airflow connections. Example: `{aws: aws_default}`."""
    artifacts: str = "s3://sluicegate-artifacts/"
    """The folder into which job files are uploaded, under the hash of their content. Example: `s3://code/`."""
    clusters: ClassVar[Mapping[str, Cluster]]
    """Clusters that `spark` steps name. Example: `{small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}`."""


class Head(Defaults):
    """The plain keys of a pipeline, those that need nothing else to be understood."""

    description: str | None = None
    """What the pipeline is for. Airflow shows it; its first line is the summary. Example: `Delay by carrier and
    day.`."""
    owner: str | None = None
    """Who answers for it: the owner of its tasks. Example: `sales-data`."""
    tags: tuple[str, ...] = ()
    """What Airflow's list of DAGs can be filtered by. Example: `[daily]`."""
    fresh_within: Duration | None = None
    """How old its data may become: the run of a window has to have succeeded so long after the window's start. Else the
    pipeline is late, and its channels are notified. Example: `30h`."""
    max_active_runs: Positive | None = None
    """How many of its runs may be active at once. Default: 16. Example: `1`."""
    paused: Flag | None = None
    """Whether a new DAG starts paused. Default: as Airflow's settings say. Example: `true`."""
    alerts: Named[Channel | None] = Field(default_factory=dict)
    """Who is notified when a step fails for good, or the pipeline is late: channels by name. Example:
    `{on_call: {notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier, with: {to: on-call@example.com}}}`."""
    faults: tuple[FaultRule, ...] = ()
    """Which errors are which fault, in place of what the catalogue says: the first rule that an error meets counts.
    Example: `[{error: requests.exceptions.HTTPError, status: 409, is: SOURCE_UNAVAILABLE}]`."""
    retries: Retries = Retries.model_construct()
    """How often and how soon a failed step is tried again, if its fault is one that may pass. Default: 3 times, after
    30s, at most 10m. Examples: `{count: 5, delay: 1m}`, `2`."""
    pools: Pools = Pools.model_construct()
    """The Airflow pools that bound its clusters, its loads and what it asks of its sources. Example:
    `{cluster: clusters, warehouse: warehouse, source: partner_api}`."""
    trigger: Trigger = Trigger.model_construct()
    """How often a person may start it by `sluicegate trigger`. Example: `{at_most: 10/h}`."""
    receipts: Receipts = Receipts.model_construct()
    """How long the receipts of its runs are kept. Example: `{keep: 90d}`."""
    dag: Arguments = Field(default_factory=dict)
    """Further arguments of Airflow's DAG, by their own names and typed by them. Example:
    `{max_active_tasks: 4, dagrun_timeout: 2h}`."""


class Pipeline(Head):
    """A pipeline file: the top level of a file. All but `sluicegate` and `steps` may be left out, or be in
    `defaults.yaml`.
    """

    # Complete: defaults applied, names resolved within the file, nothing rendered.
    name: Annotated[str, Mark.MADE]
    file: Annotated[Path, Mark.MADE]
    root: Annotated[Path, Mark.MADE]
    """The dags root: code, jobs and suites are found from here."""
    digest: Annotated[str, Mark.MADE]
    """sha256 (hex) of the file, of the defaults that hold for it, and of what `${env:…}` stands for in them."""
    env: Annotated[tuple[str, ...], Mark.MADE] = ()
    """The names of the variables that it asks for."""
    unfinished: Annotated[Mapping[str, Step | None], Mark.MADE] = Field(default_factory=dict)
    """Of a pipeline with errors: the steps that have one, or depend on one, as far as they could be read."""

    sluicegate: Annotated[Literal[1], Mark.NEEDED] = 1
    """The version of the file's form. It makes the file a pipeline. Example: `1`."""
    matrix: Annotated[Mapping[str, str | int | float | bool], Mark.AXES, Mark.FILE_ONLY, Mark.FILLED] = Field(
        default_factory=dict
    )
    """One file, several pipelines: one for each combination, with its values behind the name. `{{ matrix.<name> }}` is
    replaced when the file is read. Example: `{region: [eu, us]}`."""
    schedule: Annotated[Schedule, Mark.SCHEDULE] = Schedule.model_construct()
    """When it runs. A cron alone takes its `start` from `defaults.yaml`. Default: `none`. Examples:
    `{cron: "@daily", start: 2026-01-01}`, `once`."""
    params: Named[Param] = Field(default_factory=dict)
    """The form that starts a run by hand. Templates know them as `params.<name>`. Example:
    `{carrier: {type: string, default: null}}`."""
    datasets: Named[Dataset] = Field(default_factory=dict)
    """Names for places: steps and other pipelines (`<pipeline>.<name>`) refer to them. Example:
    `{raw: "s3://landing/orders/{{ ds }}.csv", orders: table://warehouse/orders}`."""
    steps: Annotated[Named[Step], Mark.SOME]
    """What is done. The order follows from what the steps read and write. Example:
    `{load_orders: {load: s3://landing/orders.csv, into: table://warehouse/orders}}`."""

    @property
    def path(self) -> str:
        """Its file relative to the dags root, with forward slashes."""
        return self.file.relative_to(self.root).as_posix()
