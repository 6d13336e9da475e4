"""The keys that bound how much a pipeline does at once, and how often a person starts it. To add one: see `base`."""

from typing import ClassVar

from sluicegate.pipeline.keys.base import Name, Part, RateField

__all__ = ["Pools", "Trigger"]


class Pools(Part):
    """pools: the Airflow pools whose slots its steps take, by what they are busy with. A step's own `pool` comes first,
    then that of its cluster.
    """

    _blank: ClassVar[bool] = True

    cluster: Name | None = None
    """Of `spark` steps: its slots are the most clusters at once, if it counts deferred tasks. Default: Airflow's own.
    Example: `clusters`."""
    warehouse: Name | None = None
    """Of `load` steps. Default: Airflow's own. Example: `warehouse`."""
    source: Name | None = None
    """Of `fetch` steps, and of loads from a web server, in place of `warehouse`. Default: Airflow's own. Example:
    `partner_api`."""


class Trigger(Part):
    """trigger: what `sluicegate trigger` keeps to when it starts runs of the pipeline."""

    _blank: ClassVar[bool] = True

    at_most: RateField | None = None
    """How many of its runs are started by hand within a time, however they are started; the command refuses one more.
    Default: any number. Examples: `10/h`, `3/15m`, `1/d`."""
