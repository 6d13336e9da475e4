"""Numbers of what steps do, through Airflow's own StatsD, Datadog or OpenTelemetry; nothing where that is off.

Airflow has two modules of statistics with states of their own: the Task SDK's is set up in a task's process, the other
one in the scheduler, the dag processor, the triggerer and the api-server. Plain StatsD knows no tags: there the labels
are parts of the name, in the order of the table, and `monitoring/statsd-mapping.yaml` makes labels of them again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sluicegate.telemetry.table import METRICS, Metric

__all__ = ["count", "gauge"]

log = logging.getLogger(__name__)


def count(name: str, labels: Mapping[str, str], amount: int = 1) -> None:
    """Add `amount` to a counter of the table; nothing where it is 0.

    :raises KeyError: when the table has no such counter, or not with these labels.
    """
    metric = _metric(name, "counter", labels)
    if amount and _backend():
        _send("incr", metric, labels, count=amount)


def gauge(name: str, labels: Mapping[str, str], value: float) -> None:
    """Say what a gauge of the table is now.

    :raises KeyError: as `count`.
    """
    metric = _metric(name, "gauge", labels)
    if _backend():
        _send("gauge", metric, labels, value=value)


def _metric(name: str, kind: str, labels: Mapping[str, str]) -> Metric:
    metric = METRICS[name]
    if metric.kind != kind or set(metric.labels) != set(labels):
        raise KeyError(f"{name} is a {metric.kind} with the labels {', '.join(metric.labels)}")
    return metric


@lru_cache(maxsize=1)
def _backend() -> str:
    """`tags`, `influxdb` for tags within the name, `names` without any; nothing where Airflow's metrics are off."""
    from airflow.sdk.configuration import conf

    def on(option: str) -> bool:
        return bool(conf.getboolean("metrics", option, fallback=False))

    # In the order in which Airflow chooses.
    if on("statsd_datadog_enabled"):
        return "tags" if conf.getboolean("metrics", "statsd_datadog_metrics_tags", fallback=True) else "names"
    if on("statsd_on"):
        return "influxdb" if on("statsd_influxdb_enabled") else "names"
    return "tags" if on("otel_on") else ""


def _send(method: str, metric: Metric, labels: Mapping[str, str], **number: Any) -> None:
    try:
        call = getattr(_statistics(), method)
        values = [labels[label] for label in metric.labels]
        if _backend() == "names":
            call(".".join((metric.sent_as, *(_safe(value.replace(".", "__")) for value in values))), **number)
            return
        tags = values if _backend() == "tags" else map(_safe, values)
        call(metric.sent_as, **number, tags=dict(zip(metric.labels, tags, strict=True)))
    except Exception as unsent:
        log.debug("The metric %s was not sent: %s", metric.name, type(unsent).__name__)


def _safe(label: str) -> str:
    """A label within a name: Airflow drops what has other characters, or is longer than 250 in all."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", label)[:50] or "none"


def _statistics() -> Any:
    from airflow.sdk._shared.observability.metrics import stats as of_tasks

    if of_tasks._factory is not None:
        return of_tasks
    from airflow.observability import stats as of_components

    return of_components
