"""`fresh_within` as a deadline alert of Airflow: for each run, the time by which its window has to have succeeded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from sluicegate.faults.section import Playbook
from sluicegate.graph.journal import journal_of
from sluicegate.pipeline.keys.alerts import channels_of
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.keys.steps import OperatorStep

__all__ = ["CALLBACK", "WATCH", "deadline_of"]

CALLBACK = "sluicegate.health.late.late"
"""Runs in the triggerer, which every executor has; it imports no file of a pipeline."""
_LATE = "PIPELINE_LATE"
WATCH = "sluicegate.health.WatchOperator"


def deadline_of(pipeline: Pipeline, playbook: Playbook) -> DeadlineAlert | None:
    """None for a pipeline that promises nothing, or whose runs have no windows.

    The arguments of the callback are in Airflow's database, from where the endpoint reads what a pipeline promises.
    """
    if pipeline.fresh_within is None or pipeline.schedule.kind not in ("cron", "timetable"):
        return None
    return DeadlineAlert(
        DeadlineReference.DAGRUN_LOGICAL_DATE,
        pipeline.fresh_within,
        AsyncCallback(CALLBACK, _said(pipeline, playbook)),
        name="fresh_within",
    )


def _said(pipeline: Pipeline, playbook: Playbook) -> dict[str, Any]:
    """Plain values only, and the same at every parse: what differs is a new version of the DAG."""
    schedule = pipeline.schedule
    said = {
        "pipeline": pipeline.name,
        "fresh_within": int(pipeline.fresh_within.total_seconds()) if pipeline.fresh_within is not None else None,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "end": _utc(schedule.end, schedule.timezone),
        "owner": pipeline.owner,
        "journal": journal_of(pipeline),
        "page": playbook.name if playbook.treats(_LATE) else None,
        "alerts": {
            name: channel.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for name, channel in channels_of(pipeline.alerts).items()
            if channel.late
        },
        "watches": any(isinstance(step, OperatorStep) and step.operator == WATCH for step in pipeline.steps.values()),
    }
    return {name: value for name, value in said.items() if value}


def _utc(moment: datetime | None, timezone: str) -> str | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(UTC).isoformat()
