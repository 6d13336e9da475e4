"""The one table of metrics: docs/monitoring.md is made of it, and the dashboard and the rules are held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["METRICS", "PREFIX", "Metric"]

PREFIX = "sluicegate"
"""Before the name of each, and after the prefix that Airflow gives to all of its own."""


@dataclass(frozen=True)
class Metric:
    """One number that is sent. `labels` are in the order in which they follow in a name, where there are no tags."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    meaning: str

    @property
    def sent_as(self) -> str:
        """The name with tags: `sluicegate.rows`."""
        return f"{PREFIX}.{self.name}"

    @property
    def in_prometheus(self) -> str:
        """The name in Prometheus, with Airflow's prefix as it is by default: `airflow_sluicegate_rows_total`."""
        return f"airflow_{PREFIX}_{self.name}" + ("_total" if self.kind == "counter" else "")


_STEP = ("pipeline", "step")

_METRICS = (
    Metric("tries", "counter", (*_STEP, "end"),
           "Tries of steps that have ended, by how: `succeeded`, `failed`, `retrying`, `skipped` or `interrupted`."),
    Metric("faults", "counter", (*_STEP, "fault", "class"),
           "Faults by their code and class, those included after which Airflow tries again."),
    Metric("retries", "counter", (*_STEP, "fault"),
           "Tries that have failed and are followed by another one, by the fault."),
    Metric("rows", "counter", (*_STEP, "outcome"),
           "Records by what became of them: `read`, `inserted`, `updated`, `unchanged`, `stale`, `deduplicated`, "
           "`deleted`, `dead` (set aside), `rejected` (of a load that failed); `written` by a transform; rows "
           "`removed` with a window, and dead letters `resolved`."),
    Metric("dead_letters", "counter", (*_STEP, "rule"),
           "Records that were set aside, by the rule that they broke; one that broke two counts for both."),
    Metric("milliseconds", "counter", (*_STEP, "phase"),
           "Time by phase: of a load `list`, `look`, `fetch`, `stage`, `check` and `apply`; `all` is that of the whole "
           "step, without what it waited in the triggerer."),
    Metric("clusters", "counter", _STEP, "Clusters that have done a step's work, or failed at it."),
    Metric("cluster_seconds", "counter", _STEP, "How long these clusters lived."),
    Metric("window_end", "gauge", _STEP,
           "The end of the newest window for which the step has succeeded, as Unix time. Runs of windows that are long "
           "past leave it alone."),
    Metric("fresh_until", "gauge", _STEP,
           "Until when what the step has written is fresh, as Unix time: the end of that window and the pipeline's "
           "`fresh_within`. Only where the pipeline has one."),
    Metric("alerts", "counter", ("pipeline", "channel", "outcome"),
           "Alerts by channel, `sent` or `undelivered`."),
    Metric("circuits", "counter", ("circuit", "change"),
           "Circuit breakers that `opened` or `closed`, and tasks that `waited` in one."),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})
