"""The keys of steps, and of what is inside them. How to add one: see `base`."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from sluicegate.pipeline.keys.base import (
    Arguments,
    Count,
    DatasetName,
    Duration,
    Flag,
    Mark,
    Model,
    Name,
    Part,
    Positive,
    SomeOf,
    StepName,
    Uri,
)
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.fetch import Fetched
from sluicegate.pipeline.keys.load import LoadOptions

__all__ = [
    "TRIGGER_RULES", "After", "FetchStep", "ForEach", "Job", "LoadStep",
    "OnUpstreamFailure", "OnUpstreamSkipped", "OperatorStep", "PythonStep", "Read", "Retries", "SparkStep", "Step",
    "StepBase", "TeardownOf", "TransformStep", "TriggerRule",
]  # fmt: skip

TriggerRule = Literal[
    "all_success", "all_failed", "all_done", "all_done_min_one_success", "all_done_setup_success", "one_success",
    "one_failed", "one_done", "none_failed", "none_skipped", "always", "none_failed_min_one_success", "all_skipped",
]  # fmt: skip
TRIGGER_RULES: tuple[str, ...] = get_args(TriggerRule)


class OnUpstreamFailure(StrEnum):
    WAIT = "wait"
    FAIL = "fail"


class OnUpstreamSkipped(StrEnum):
    SKIP = "skip"
    RUN = "run"
    WAIT = "wait"


class Retries(Part):
    """retries: how often and how soon a failed step is tried again. A number alone is the `count`."""

    _short: ClassVar[str] = "count"
    _blank: ClassVar[bool] = True

    count: Count = 3
    """The most tries after the first. Example: `5`."""
    delay: Duration = timedelta(seconds=30)
    """The pause before the second try; it doubles. Example: `1m`."""
    max_delay: Duration = timedelta(minutes=10)
    """The longest pause. Example: `1h`."""
    bugs: Flag = False
    """Whether a bug in code (the fault CODE_BROKEN, such as an IndexError) is tried again too. Example: `true`."""


class Read(Part):
    """What is read: the long form of one dataset, for those of other pipelines."""

    _short: ClassVar[str] = "dataset"

    dataset: DatasetName
    """The dataset: `pipeline.name`. Example: `flights.raw`."""
    latest: Flag = False
    """Asks only that it has been written once, in any run. Example: `true`."""
    on_upstream_failure: OnUpstreamFailure = OnUpstreamFailure.WAIT
    """What to do when the step that writes it has failed. Example: `fail`."""
    on_upstream_skipped: OnUpstreamSkipped = OnUpstreamSkipped.SKIP
    """What to do when the step that writes it was skipped in all runs that are waited for: the wait is skipped too, as
    a step would be in one DAG; or it ends, as after a success; or it goes on until somebody has cleared the step.
    Example: `run`."""


class After(Part):
    """Another DAG: waits for its run at the start of the window, for a DAG that is not a pipeline."""

    _short: ClassVar[str] = "step"

    step: Annotated[StepName | None, Mark.MADE] = None
    dag: Annotated[str | None, Mark.NEEDED] = None
    """Its DAG id. Example: `old_dag`."""
    task: str | None = None
    """One of its tasks. Default: the whole run. Example: `export`."""
    on_upstream_skipped: OnUpstreamSkipped = OnUpstreamSkipped.SKIP
    """What to do when the task was skipped, as for what is read. Example: `run`."""


class ForEach(Part):
    """for_each: one of `items`, `output_of` and `files` says what the items are. A list alone is `items`."""

    _short: ClassVar[str] = "items"
    _blank: ClassVar[bool] = True

    items: Annotated[tuple[Any, ...] | None, Mark.SOME] = None
    """These. Example: `[eu, us]`."""
    output_of: Name | None = None
    """What that `python` or `operator` step returned: a list. Example: `first`."""
    files: Uri | None = None
    """The URIs of the files that match when the run comes to it: `*`, `?`, `[ab]`, and `**` for any folders. Only on
    `s3://`, `gs://` and `file://`. Example: `s3://landing/{{ ds }}/*.csv`."""
    empty: Literal["fail", "skip"] = "fail"
    """What becomes of the step when no file matches. Example: `skip`."""
    max_active: Positive | None = None
    """How many items of a run are worked on at once. Default: as Airflow's settings say. Example: `4`."""
    label: str | None = None
    """A template: what Airflow's pages call an item. Default: the item, or the file's name. Example:
    `"{{ item.region }}"`."""


class TeardownOf(Part):
    """teardown_of: the steps that a teardown undoes. A step, or a list of them, is `steps`."""

    _short: ClassVar[str] = "steps"

    steps: Annotated[SomeOf[StepName], Mark.SOME]
    """The steps that it undoes. Example: `first`."""
    fail_run: Flag = False
    """Whether a run fails whose teardown does. Example: `true`."""


class StepBase(Model):
    """Any step: a step has one of the keys [load](#load), [fetch](#fetch), [spark](#spark), [transform](#transform),
    [python](#python) and [operator](#operator), which decides what else it takes, and any of these.
    """

    _blank: ClassVar[bool] = True

    name: Annotated[str, Mark.MADE]
    reads: Annotated[Mapping[str, Read], Mark.BINDINGS] = Field(default_factory=dict)
    """The datasets it reads: a name, `pipeline.name`, or, with a binding, a URI. It comes after who writes them.
    Examples: `flights.raw`, `[flights.raw, orders.clean]`, `{wind: weather.raw}`."""
    writes: Annotated[Mapping[str, DatasetName], Mark.BINDINGS] = Field(default_factory=dict)
    """The datasets it writes: names of this pipeline, or, with a binding, URIs. Examples: `clean`, `[clean]`,
    `{out: s3://lake/clean/}`."""
    after: SomeOf[After] = ()
    """What it comes after without reading its data: steps of this file, or a task of a DAG that is not a pipeline.
    Examples: `first`, `[first, {dag: old_dag, task: export}]`."""
    retries: Retries = Retries.model_construct()
    """As at the top of the file, for this step. Keys that are not said keep the file's. Default: those of the file.
    Examples: `{count: 5, delay: 1m}`, `0`."""
    timeout: Duration | None = None
    """The longest that one try may take, waiting included. Example: `15m`."""
    wait: Duration | None = None
    """How long it waits for sources that are not there, or for other pipelines, before it fails. Default: sources have
    to be there; other pipelines are waited for without limit. Example: `6h`."""
    for_each: ForEach | None = None
    """Runs it once for each item, which its templates and functions know as `item`. Examples: `[eu, us]`,
    `{files: "s3://landing/{{ ds }}/*.csv"}`."""
    group: Annotated[str | None, Mark.GROUP] = None
    """The box it is drawn in; `outer.inner` is a box in a box. Examples: `ingest`, `ingest.raw`."""
    teardown_of: TeardownOf | None = None
    """The steps that it undoes when all after them is done, whatever became of that. Examples: `first`, `[first]`."""
    pool: str | None = None
    """The Airflow pool it takes a slot of. Example: `warehouse`."""
    trigger_rule: TriggerRule | None = None
    """When it runs, seen from the steps before it. Default: `all_success`. Example: `all_done`."""
    description: str | None = None
    """What it does. Airflow shows it. Example: `Joins flights and weather.`."""


class LoadStep(LoadOptions, StepBase):
    """load: brings a file, or a folder of parts, into a table, once."""

    kind: Annotated[Literal["load"], Mark.MADE] = "load"
    load: Annotated[Read, Mark.READS]
    """What is loaded: a dataset, or a URI. Examples: `s3://landing/orders/{{ ds }}.csv`,
    `{dataset: flights.raw, latest: true}`."""
    into: Annotated[Name, Mark.WRITES]
    """The table it goes into: a dataset, or a URI, `table://`, `iceberg://` or a folder of Parquet files. Examples:
    `table://warehouse/orders`, `s3://lake/orders/`."""


class FetchStep(StepBase):
    """fetch: lands rows of a database, or records of an API, as files, which a `load` then reads."""

    kind: Annotated[Literal["fetch"], Mark.MADE] = "fetch"
    fetch: Fetched
    """What is fetched. Examples: `{sql: "SELECT * FROM orders", connection: shop, watermark: updated_at}`,
    `{api: "https://api.example.com/v1/orders", connection: partner, records: data, pages: {by: link}}`."""
    into: Annotated[Name, Mark.WRITES]
    """The folder it lands in: a dataset, or a URI. Example: `s3://raw/orders/{{ ds }}/`."""


class Job(Part):
    """A job: one spark-submit, or a command. A path alone is the `path`."""

    _short: ClassVar[str] = "path"
    _blank: ClassVar[bool] = True

    path: Annotated[str | None, Mark.PATH] = None
    """A file below the dags root, or an `s3://` URI; this or `command`. Example: `jobs/delays.py`."""
    command: Annotated[tuple[str, ...], Mark.SCALARS] = ()
    """A command and its arguments, which the primary node runs in place of a spark-submit; it gets no `--name uri`.
    Example: `[s3-dist-cp, --src, "s3://in/{{ ds }}/", --dest, "hdfs:///in/"]`."""
    args: Annotated[tuple[str, ...], Mark.SCALARS] = ()
    """Its arguments. Default: those of the step. Example: `["--all"]`."""
    name: Name | None = None
    """What EMR calls it. Default: the file's name, or the command's. Example: `delays`."""
    py_files: SomeOf[Name] = ()
    """What it imports: `.py`, `.zip`, `.egg`, a wheel without compiled code, or a folder, which is zipped; below the
    dags root, or `s3://` URIs of `.py`, `.zip` and `.egg`. Example: `[lib/, wheels/holidays-0.60-py3-none-any.whl]`."""
    jars: SomeOf[Name] = ()
    """Jars for driver and executors, below the dags root or `s3://` URIs. Example: `s3://code/postgresql.jar`."""
    files: SomeOf[Name] = ()
    """Files for the working folder of each executor, below the dags root or `s3://` URIs. Example: `jobs/zones.csv`."""
    packages: SomeOf[Name] = ()
    """Maven packages, which the cluster downloads. Example: `org.apache.spark:spark-avro_2.12:3.5.6`."""
    conf: Annotated[Mapping[str, Any], Mark.PROPERTIES] = Field(default_factory=dict)
    """Properties of Spark. Example: `{spark.sql.shuffle.partitions: 200}`."""
    options: Annotated[Mapping[str, Any], Mark.PROPERTIES] = Field(default_factory=dict)
    """Further options of spark-submit, without their dashes. Examples: `{class: com.example.Delays}`,
    `{driver-memory: 4g}`."""


class SparkStep(StepBase):
    """spark: runs a job on an EMR cluster of its own. Bound datasets become `--name uri` before `args`."""

    kind: Annotated[Literal["spark"], Mark.MADE] = "spark"
    jobs: Annotated[SomeOf[Job], Mark.SOME] = Field(alias="spark")
    """The job: a file below the dags root, or an `s3://` URI. A list runs one after the other. Examples:
    `jobs/delays.py`, `[{path: jobs/delays.py, args: ["--all"]}]`."""
    cluster: Annotated[Cluster, Mark.CLUSTER]
    """A name below `clusters` in `defaults.yaml`, or a cluster written out. Example: `small`."""
    cluster_name: Annotated[str, Mark.MADE]
    """The key below `clusters:`, for messages and tags."""
    args: Annotated[tuple[str, ...], Mark.SCALARS] = ()
    """Arguments of the jobs that have none of their own. Example: `["--limit", 10]`."""
    max_runtime: Duration = timedelta(hours=4)
    """The longest that one job may take, bounded on the cluster itself. Example: `1h`."""

    @property
    def uploads(self) -> tuple[str, ...]:
        """The files below the dags root that go to the cluster, and what is in S3 already."""
        jobs = (path for job in self.jobs for path in (job.path, *job.py_files, *job.jars, *job.files) if path)
        return (*jobs, *(action.path for action in self.cluster.bootstrap_actions))


class TransformStep(StepBase):
    """transform: calls a pure function: Arrow tables in, a table out, which is written whole or not at all."""

    kind: Annotated[Literal["transform"], Mark.MADE] = "transform"
    function: Name = Field(alias="transform")
    """`module:function`, found from the dags root. Example: `transforms.customers:clean_up`."""
    with_: Arguments = Field(default_factory=dict, alias="with")
    """The function's further arguments. Example: `{country: DE}`."""


class PythonStep(StepBase):
    """python: calls a function with side effects. It gets what it names of `reads writes params window dry_run`."""

    kind: Annotated[Literal["python"], Mark.MADE] = "python"
    function: Name = Field(alias="python")
    """`module:function`, found from the dags root. Example: `announce:post`."""
    with_: Arguments = Field(default_factory=dict, alias="with")
    """The function's further arguments. Example: `{country: DE}`."""


class OperatorStep(StepBase):
    """operator: any operator or sensor of Airflow."""

    kind: Annotated[Literal["operator"], Mark.MADE] = "operator"
    operator: Name
    """Its import path. Example: `airflow.providers.standard.operators.bash.BashOperator`."""
    with_: Arguments = Field(default_factory=dict, alias="with")
    """Its arguments, checked against its signature. Templates in them are Airflow's. Example:
    `{bash_command: "echo {{ ds }}"}`."""


Step = Annotated[
    LoadStep | FetchStep | SparkStep | TransformStep | PythonStep | OperatorStep, Field(discriminator="kind")
]
