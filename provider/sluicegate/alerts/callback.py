"""The callback that Airflow calls when a task has failed for good. Cheap to make: DAGs are parsed often."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.pipeline.keys.alerts import Channel

__all__ = ["AlertCallback"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AlertCallback:
    """Sends an alert of the task's fault. Airflow calls it in the worker after the last try, in the dag processor for a
    task whose worker died; it never raises anything.

    For a DAG written by hand: `on_failure_callback=AlertCallback("orders", {"on_call": Channel(notifier=…)})`.

    :param channels: by name, as `alerts:` of a pipeline has them
    """

    pipeline: str
    channels: Mapping[str, Channel]
    owner: str = ""

    def __call__(self, context: Context) -> None:
        try:
            self._send(context)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            log.error("No alert was sent: %s", redact(trace))

    def _send(self, context: Context) -> None:
        # What sending needs is imported when something has failed, not where DAGs are parsed.
        from typing import cast

        from sluicegate.alerts.context import alert_of
        from sluicegate.alerts.send import send
        from sluicegate.runtime.journal import journal_from

        alert = alert_of(context, pipeline=self.pipeline, owner=self.owner)
        if alert is None:
            log.info("No alert: the task was ended by a person")
            return
        send(alert, self.channels, journal_from(context), context=cast("Mapping[str, object]", context))
