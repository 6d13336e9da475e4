"""The operator that watches all pipelines: it notices what no callback and no deadline of Airflow can.

Imported when a DAG is parsed: what it needs is imported when a task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    import psycopg
    from airflow.sdk import Context

    from sluicegate.alerts.message import Alert
    from sluicegate.health.overdue import Overdue
    from sluicegate.health.unsent import Unsent
    from sluicegate.ledger.receipts import Receipt
    from sluicegate.pipeline.keys.alerts import Channel
    from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["WatchOperator"]

_PATIENCE = timedelta(minutes=15)


class WatchOperator(StepOperator):
    """Alerts the channels of pipelines that did not run at all, are late, are paused with old data, or failed without
    an alert, or whose tasks wait for a circuit that stays open; and sends again what a channel did not take.

    Each of them once: what has been sent is in the journal of the pipeline. Returns `{"pipelines", "overdue":
    [{"pipeline", "kind", "window"}], "killed": [steps], "unalerted": [run ids], "sent_again": [dedupe keys],
    "circuits": [names]}`. A try that was killed has its end in its receipt from then on.

    :param root: the dags root; that of the pipeline which has this step unless given
    :param patience: how long a run may be missing before that is reported, and how long a file may be new
    """

    ui_color = "#f2e4d0"

    def __init__(self, *, root: str | None = None, patience: timedelta = _PATIENCE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.patience = patience

    def run(self, context: Context, step: StepContext) -> StepResult:
        from sluicegate.graph.journal import journal_of
        from sluicegate.health.unsent import unalerted, undelivered
        from sluicegate.pipeline import read_tree

        pipelines = read_tree(self._root(context)).readable
        late, unanswered = self._overdue(pipelines.values())
        for each in late:
            self._report(each, step)
        journals = sorted({name for each in pipelines.values() if (name := journal_of(each)) is not None})
        killed = [each for name in journals for each in self._killed(name, pipelines, step)]
        failed = [each for name in journals for each in self._send(name, unalerted, pipelines, step)]
        again = [each for name in journals for each in self._send(name, undelivered, pipelines, step)]
        circuits = [each for name in journals for each in self._circuits(name, pipelines, step)]
        if unanswered is not None:
            raise unanswered
        value = {
            "pipelines": len(pipelines),
            "overdue": [
                {"pipeline": each.pipeline.name, "kind": str(each.kind), "window": str(each.window)} for each in late
            ],
            "killed": [f"{each.attempt.pipeline}.{each.attempt.name}" for each in killed],
            "unalerted": [each.run_id for each in failed],
            "sent_again": [each.dedupe_key for each in again],
            "circuits": circuits,
        }
        found = f"{len(late)} overdue, {len(failed)} failed without an alert, {len(again)} alerts sent again"
        found += f", {len(killed)} tries were killed" if killed else ""
        found += f", {len(circuits)} circuits stay open" if circuits else ""
        return StepResult(value, f"{len(pipelines)} pipelines watched: {found}")

    def _root(self, context: Context) -> Path:
        own = getattr(context.get("dag"), "pipeline", None)
        root = self.root or getattr(own, "root", None)
        if root is None:
            raise fault("WRONG_USE", "a watch in a DAG written by hand needs the `root` of the pipelines to watch")
        return Path(root)

    def _overdue(self, pipelines: Iterable[Pipeline]) -> tuple[list[Overdue], Exception | None]:
        """Those that are, and the last error: what Airflow does not answer of one keeps no other from its alert."""
        from sluicegate.health.overdue import overdue
        from sluicegate.health.own_airflow import OwnAirflow

        now, airflow = datetime.now(UTC), OwnAirflow()
        late: list[Overdue] = []
        unanswered: Exception | None = None
        for pipeline in pipelines:
            try:
                if not self._is_new(pipeline, now) and (found := overdue(pipeline, airflow, now, self.patience)):
                    late.append(found)
            except Exception as error:
                self.log.warning("%s was not looked at: %s", pipeline.name, error)
                unanswered = error
        return late, unanswered

    def _is_new(self, pipeline: Pipeline, now: datetime) -> bool:
        """Whether the file is so new that Airflow may still have to read it."""
        changed = pipeline.file.stat().st_mtime if pipeline.file.exists() else 0.0
        return now.timestamp() - changed < self.patience.total_seconds()

    def _report(self, found: Overdue, step: StepContext) -> None:
        from sluicegate.alerts.send import send
        from sluicegate.graph.journal import journal_of
        from sluicegate.health.alerts import alert_of

        self.log.warning("%s is %s for %s", found.pipeline.name, found.kind, found.window)
        if not step.dry_run:
            send(alert_of(found), found.pipeline.alerts, journal_of(found.pipeline))

    def _killed(self, journal: str, pipelines: Mapping[str, Pipeline], step: StepContext) -> list[Receipt]:
        """Close the receipts of tries whose processes were killed."""
        from sluicegate.health.killed import close_killed
        from sluicegate.health.own_airflow import OwnAirflow

        try:
            return [] if step.dry_run else close_killed(journal, pipelines.keys(), OwnAirflow())
        except Exception as error:
            self.log.warning("Which tries were killed is not known: %s", error)
            return []

    def _circuits(self, journal: str, pipelines: Mapping[str, Pipeline], step: StepContext) -> list[str]:
        """Report those that have been open for longer than `patience`; their names."""
        from sluicegate.alerts.send import send
        from sluicegate.circuits.store import lasting
        from sluicegate.health.open_circuits import circuit_alerts
        from sluicegate.runtime.journal import in_journal

        found = in_journal(journal, "which circuits stay open", lambda each: lasting(each, self.patience)) or []
        for known in found:
            self.log.warning("%s is open since %s", known.circuit.name, known.circuit.opened_at)
            for alert, channels in circuit_alerts(known, pipelines) if not step.dry_run else ():
                send(alert, channels, journal)
        return [known.circuit.name for known in found]

    def _send(
        self,
        journal: str,
        read: Callable[[psycopg.Connection[tuple[Any, ...]]], list[Unsent]],
        pipelines: Mapping[str, Pipeline],
        step: StepContext,
    ) -> list[Alert]:
        """Send what the journal has to be sent; those for which the files have a channel."""
        from sluicegate.alerts.send import send
        from sluicegate.runtime.journal import in_journal

        sent = []
        for unsent in in_journal(journal, "what is still to be alerted", read) or []:
            channels = _channels(unsent, pipelines)
            if channels and not step.dry_run:
                send(unsent.alert, channels, journal)
            if channels:
                sent.append(unsent.alert)
        return sent


def _channels(unsent: Unsent, pipelines: Mapping[str, Pipeline]) -> dict[str, Channel | None]:
    pipeline = pipelines.get(unsent.alert.pipeline)
    named = {} if pipeline is None else dict(pipeline.alerts)
    return {name: each for name, each in named.items() if each is not None and unsent.channel in (None, name)}
