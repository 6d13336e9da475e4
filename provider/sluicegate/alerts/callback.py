"""The callback that Airflow calls when a task has failed for good. Cheap to make: DAGs are parsed often."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.alerts.message import Alert
    from sluicegate.pipeline.keys.alerts import Channel

__all__ = ["AlertCallback", "RunCallback"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Callback:
    """:param channels: by name, as `alerts:` of a pipeline has them"""

    pipeline: str
    channels: Mapping[str, Channel]
    owner: str = ""

    _deadline: ClassVar[float] = 10.0
    """Seconds for all channels of an alert together."""

    def __call__(self, context: Context) -> None:
        try:
            self._send(context)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            log.error("No alert was sent: %s", redact(trace))

    def _send(self, context: Context) -> None:
        # What sending needs is imported when something has failed, not where DAGs are parsed.
        from sluicegate.alerts.send import send
        from sluicegate.runtime.journal import journal_from

        known = cast("Mapping[str, object]", context)
        for alert in self._alerts(context):
            send(alert, self.channels, journal_from(context), context=known, deadline=self._deadline)

    def _alerts(self, context: Context) -> Iterable[Alert]:
        raise NotImplementedError


class AlertCallback(_Callback):
    """Sends an alert of a task's fault. Airflow calls it in the worker after the last try, in the dag processor for a
    task whose worker died; it never raises anything.

    For a DAG written by hand: `on_failure_callback=AlertCallback("orders", {"on_call": Channel(notifier=…)})`.
    """

    def _alerts(self, context: Context) -> Iterable[Alert]:
        from sluicegate.alerts.context import alert_of

        alert = alert_of(context, pipeline=self.pipeline, owner=self.owner)
        if alert is None:
            log.info("No alert: the task was ended by a person")
        return () if alert is None else (alert,)


class RunCallback(_Callback):
    """Sends alerts of a failed run that no task sends: it took too long, or the process of a step was killed. The DAG's
    `on_failure_callback`.
    """

    # A busy dag-processor takes its time to say what a connection is; no task waits for this.
    _deadline: ClassVar[float] = 30.0

    def _alerts(self, context: Context) -> Iterable[Alert]:
        from sluicegate.alerts.of_run import alerts_of_run

        return alerts_of_run(context, pipeline=self.pipeline, owner=self.owner)
