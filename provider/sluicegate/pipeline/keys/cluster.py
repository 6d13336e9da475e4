"""The keys of a cluster: its machines, what is on them, and where it runs. How to add one: see `base`.

What goes together and what does not is in `pipeline/check/cluster.py`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer

from sluicegate.pipeline.keys.base import Count, Duration, Flag, Mark, Model, Name, Part, Positive, SomeOf
from sluicegate.pipeline.text.quantities import format_bytes, parse_bytes

__all__ = [
    "BootstrapAction", "Cluster", "CoreInstances", "Fleet", "FleetType", "Fleets", "Instances", "PrimaryFleet",
    "PrimaryInstance", "Scaling", "Size", "TaskInstances", "Volume",
]  # fmt: skip

Market = Literal["on_demand", "spot"]
Bytes = Annotated[int, BeforeValidator(parse_bytes), PlainSerializer(format_bytes), Mark.BYTES]


class Volume(Part):
    """volume: the EBS volumes of a node. A number alone is the `size`."""

    _short: ClassVar[str] = "size"

    size: Positive
    """GiB of each. Example: `100`."""
    type: Literal["gp3", "gp2", "io1", "st1", "sc1", "standard"] = "gp3"
    """Their kind. Example: `gp2`."""
    per_node: Positive = 1
    """How many a node has. Example: `2`."""
    iops: Positive | None = None
    """Input and output operations a second of each, for `gp3` and `io1`, which needs it. Default: EBS's own. Example:
    `4000`."""
    throughput: Positive | None = None
    """MiB a second of each, for `gp3`: 125 to 1000. Default: EBS's own. Example: `250`."""


class PrimaryInstance(Part):
    """primary: the primary node of a cluster, on demand unless it says otherwise. A type alone is the `type`."""

    _short: ClassVar[str] = "type"

    type: Name
    """Its type. Example: `m7g.xlarge`."""
    market: Market = "on_demand"
    """How it is bought. Example: `on_demand`."""
    interruptible: Flag = False
    """Accepts that AWS may take it back: with the primary node the cluster ends, and all that its jobs did is done
    again. `market: spot` needs it. Example: `true`."""
    volume: Volume | None = None
    """Its EBS volumes. Default: EMR's own for the type. Example: `100`."""


class CoreInstances(Part):
    """core: the core nodes of a cluster: they run jobs and keep HDFS. A type alone is the `type`."""

    _short: ClassVar[str] = "type"

    type: Name
    """Their type. Example: `m7g.xlarge`."""
    count: Positive = 1
    """How many there are. Example: `2`."""
    market: Market = "on_demand"
    """How they are bought. One that AWS takes back loses its part of HDFS and of shuffled data. Example: `spot`."""
    volume: Volume | None = None
    """The EBS volumes of each. Default: EMR's own for the type. Example: `{size: 200, per_node: 2}`."""


class TaskInstances(CoreInstances):
    """task: the task nodes of a cluster: they run jobs and keep nothing, so that any of them can be lost. A type alone
    is the `type`.
    """

    market: Market = "spot"
    """How they are bought. Example: `on_demand`."""


class Instances(Model):
    """instances: the machines of a cluster, by EMR's instance groups: one type for each role."""

    primary: PrimaryInstance
    """The primary node. Example: `m7g.xlarge`."""
    core: CoreInstances | None = None
    """The core nodes. Default: none: jobs run on the primary node. Example: `{type: m7g.xlarge, count: 2}`."""
    task: TaskInstances | None = None
    """The task nodes, on the spot market unless they say otherwise. Default: none. Example:
    `{type: m7g.xlarge, count: 4}`."""


class FleetType(Part):
    """types: an instance type that a fleet may be made of. A type alone is the `type`."""

    _short: ClassVar[str] = "type"

    type: Name
    """The type. Example: `m7g.2xlarge`."""
    weight: Positive = 1
    """How many units of the fleet's targets it counts for; not for a primary node, which is one. Example: `8`."""


class Fleet(Part):
    """fleet: the machines of one role, of any of several types, whichever EMR finds. Types alone are `types`."""

    _short: ClassVar[str] = "types"

    types: SomeOf[FleetType]
    """The types it may be made of, at most 30. Examples: `[m7g.xlarge, m6g.xlarge]`,
    `[{type: m7g.xlarge, weight: 4}, {type: m7g.2xlarge, weight: 8}]`."""
    on_demand: Count = 0
    """Units to have on demand. Example: `4`."""
    spot: Count = 0
    """Units to have on the spot market. Example: `12`."""
    spot_timeout: Duration = timedelta(minutes=10)
    """How long EMR looks for spot capacity when the cluster starts: 5m to 24h. Example: `20m`."""
    on_spot_timeout: Literal["switch_to_on_demand", "terminate_cluster"] = "switch_to_on_demand"
    """What happens then: the missing units are bought on demand, or the cluster ends, and the next of `fleets` is
    tried. Example: `terminate_cluster`."""
    spot_allocation: Literal[
        "price-capacity-optimized",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "lowest-price",
        "diversified",
    ] = "price-capacity-optimized"
    """EMR's strategy for spot capacity; `prioritized` ones take the types in their order. Example:
    `capacity-optimized`."""
    on_demand_allocation: Literal["lowest-price", "prioritized"] = "lowest-price"
    """EMR's strategy for what is bought on demand. Example: `prioritized`."""
    volume: Volume | None = None
    """The EBS volumes of each node. Default: EMR's own for the type. Example: `100`."""


class PrimaryFleet(Fleet):
    """primary fleet: the primary node of a cluster, of one of several types: one unit, on demand unless it says
    otherwise. Types alone are `types`.
    """

    types: SomeOf[FleetType]
    """The types it may be of, at most 30; none of them weighs more. Example: `[m7g.xlarge, m6g.xlarge]`."""
    on_demand: Count = 1
    """1, or 0 for a primary node on the spot market. Example: `0`."""
    spot: Count = 0
    """The other one of the two. Example: `1`."""
    interruptible: Flag = False
    """Accepts that AWS may take it back, and the cluster ends. `spot: 1` needs it. Example: `true`."""


class Fleets(Model):
    """fleets: the machines of a cluster, by EMR's instance fleets: several types for each role."""

    primary: PrimaryFleet
    """The primary node. Example: `[m7g.xlarge, m6g.xlarge]`."""
    core: Fleet | None = None
    """The core nodes. Default: none. Example: `{types: [m7g.xlarge, m6g.xlarge], on_demand: 2}`."""
    task: Fleet | None = None
    """The task nodes. Default: none. Example: `{types: [m7g.xlarge, m6g.xlarge], spot: 8}`."""


class Scaling(Model):
    """scaling: EMR's managed scaling: how many core and task nodes there are while jobs run. All limits are in
    instances, or, with `fleets`, in their units.
    """

    min: Positive
    """The fewest. Example: `2`."""
    max: Positive
    """The most. Example: `20`."""
    max_on_demand: Count | None = None
    """The most on demand; what is above is spot. Default: as `max`. Example: `4`."""
    max_core: Positive | None = None
    """The most core nodes; what is above are task nodes. Default: as `max`. Example: `4`."""


class BootstrapAction(Part):
    """bootstrap_actions: a script that each node runs before EMR's applications start. A path alone is the `path`."""

    _short: ClassVar[str] = "path"

    path: Annotated[str, Mark.PATH]
    """A file below the dags root, which is uploaded under the hash of its content, or an `s3://` URI. Example:
    `s3://code/install.sh`."""
    args: Annotated[tuple[str, ...], Mark.SCALARS, BeforeValidator(lambda value: _texts(value))] = ()
    """Its arguments. Example: `["--quiet"]`."""
    name: Name | None = None
    """What EMR calls it. Default: the file's name. Example: `install`."""


class Size(Model):
    """by_input: how large the cluster is from so many bytes of input on. What it does not say stays."""

    from_: Bytes = Field(alias="from")
    """The bytes of all that the step reads, together, from which it holds. The first is `0`. Examples: `0`, `50GB`."""
    core: Positive | None = None
    """How many core nodes; with `fleets` units of the one market that the fleet has. Example: `10`."""
    task: Positive | None = None
    """The same of task nodes. Example: `20`."""
    max: Positive | None = None
    """The `max` of `scaling`. Example: `40`."""


class Cluster(Model):
    """A cluster: what one run's EMR cluster is made of."""

    release: str
    """EMR's release. Example: `emr-7.13.0`."""
    applications: SomeOf[Name] = ("Spark",)
    """What EMR installs. Example: `[Spark, Hive]`."""
    instances: SomeOf[Instances] = ()
    """Its machines by type; this or `fleets`. Of a list, the next is tried when AWS has no capacity for one. Examples:
    `{primary: m7g.xlarge, core: {type: m7g.xlarge, count: 2}}`, `[{primary: m7g.xlarge}, {primary: m6g.xlarge}]`."""
    fleets: SomeOf[Fleets] = ()
    """Its machines by fleets of several types; this or `instances`, and a list in the same way. Example:
    `{primary: [m7g.xlarge, m6g.xlarge], core: {types: [m7g.xlarge, m6g.xlarge], on_demand: 2}}`."""
    by_input: SomeOf[Size] = ()
    """How many machines it has, by the bytes of what the step reads. Example:
    `[{from: 0, core: 2}, {from: 50GB, core: 10}]`."""
    scaling: Scaling | None = None
    """Managed scaling. Default: the counts stay. Example: `{min: 2, max: 20}`."""
    subnets: SomeOf[Name] = ()
    """The subnets it may start in: `instances` try one after the other, `fleets` leave the choice to EMR. Default: the
    account's default VPC. Examples: `subnet-0a1b2c3d`, `[subnet-0a1b2c3d, subnet-4e5f6a7b]`."""
    configurations: Annotated[Mapping[str, Mapping[str, Any]], Mark.CONFIGURATIONS] = Field(default_factory=dict)
    """EMR's configurations: properties by classification; one that is keys and values is a classification inside.
    Examples: `{spark-defaults: {spark.executor.memory: 4g}}`, `{spark-env: {export: {PYSPARK_PYTHON: python3}}}`."""
    bootstrap_actions: SomeOf[BootstrapAction] = ()
    """Scripts that each node runs first, at most 15 (EMR takes 16, with the `watchdog`). Examples: `s3://code/install.sh`,
    `[{path: s3://code/install.sh, args: ["--quiet"]}]`."""
    log_uri: str | None = None
    """Where EMR leaves its logs. Without it the log of a failed job is lost. Example: `s3://emr-logs/`."""
    service_role: Name = "EMR_DefaultRole"
    """EMR's own role. Example: `data-emr`."""
    job_flow_role: Name = "EMR_EC2_DefaultRole"
    """The role of its machines: an instance profile. Example: `data-emr-ec2`."""
    security_configuration: Name | None = None
    """EMR's security configuration, by its name. Default: none. Example: `encrypted`."""
    root_volume: Positive | None = None
    """GiB of the root volume of each node. Default: EMR's own. Example: `50`."""
    custom_ami: Name | None = None
    """The image of its machines. Default: EMR's own. Example: `ami-0a1b2c3d4e5f6a7b8`."""
    watchdog: Flag = True
    """Whether its primary node shuts down by itself 15 minutes after the deadline, whatever runs on it: a bootstrap
    action before all others. Example: `false`."""
    pool: Name | None = None
    """The Airflow pool of steps that use it and name none. Its slots are the most such clusters at once, if it counts
    deferred tasks. Default: Airflow's own. Example: `clusters`."""
    spread: Duration | None = None
    """Scheduled runs start their clusters within so long, each pipeline at a moment of its own: not all at once.
    Default: each at once. Example: `10m`."""
    ec2_key: Name | None = None
    """The EC2 key pair for SSH. Default: none. Example: `on-call`."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """AWS tags, beside those by which it is found again. Example: `{team: data}`."""
    run_job_flow: Mapping[str, Any] = Field(default_factory=dict)
    """Whatever else EMR's RunJobFlow takes, by its own names. Example: `{OSReleaseLabel: 2023.6.20250211.0}`."""

    def sized(self, size: Size) -> "Cluster":
        """The same with as many machines as `size` says."""
        changed: dict[str, Any] = {
            "instances": tuple(_with_counts(each, size) for each in self.instances),
            "fleets": tuple(_with_counts(each, size) for each in self.fleets),
        }
        if size.max is not None and self.scaling is not None:
            changed["scaling"] = self.scaling.model_copy(update={"max": size.max})
        return self.model_copy(update=changed)


Machines = TypeVar("Machines", Instances, Fleets)


def _with_counts(machines: Machines, size: Size) -> Machines:
    changed: dict[str, Any] = {}
    for role, count in (("core", size.core), ("task", size.task)):
        nodes = getattr(machines, role)
        if count is not None and nodes is not None:
            market = "spot" if isinstance(nodes, Fleet) and nodes.spot else "on_demand"
            changed[role] = nodes.model_copy(update={market if isinstance(nodes, Fleet) else "count": count})
    return machines.model_copy(update=changed)


def _texts(value: object) -> object:
    """Arguments as a file writes them: texts and numbers, one alone too."""
    if value is None:
        return None
    items = value if isinstance(value, list | tuple) else [value]
    return [str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item for item in items]
