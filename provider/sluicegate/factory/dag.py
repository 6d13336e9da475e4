"""The DAG around a pipeline's steps: schedule, form, arguments. No step and no edge is made here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import CronDataIntervalTimetable, Param

from sluicegate.pipeline.keys.model import Param as PipelineParam
from sluicegate.pipeline.keys.model import Pipeline, Schedule
from sluicegate.runtime.marks import AT_MOST, WINDOW_TIMEZONE

__all__ = ["MAX_ACTIVE_RUNS", "dag_arguments", "schedule_arguments", "trigger_facts", "trigger_form"]

MAX_ACTIVE_RUNS = 16
"""Runs of one pipeline at once, unless it says otherwise. Airflow's own default, written out: a run that
waits for an upstream counts too, so a small number would let one late day hold up all the others, and a
large one would let a catchup of years start at once."""

_SMALLEST = timedelta(microseconds=1)


def dag_arguments(pipeline: Pipeline) -> dict[str, Any]:
    """The keyword arguments of Airflow's DAG that the pipeline says, without those under `dag` and a timetable."""
    arguments: dict[str, Any] = {
        "description": _first_line(pipeline.description),
        "max_active_runs": pipeline.max_active_runs or MAX_ACTIVE_RUNS,
        "is_paused_upon_creation": pipeline.paused,
        "tags": sorted(pipeline.tags),
        # Airflow's own templates (`bash_command: scripts/x.sh`) are found from the dags root as well.
        "template_searchpath": [str(pipeline.root)],
        # The file is the DAG: a module that merely imports it must not register it again.
        "auto_register": False,
    }
    return arguments | schedule_arguments(pipeline.schedule)


def schedule_arguments(schedule: Schedule) -> dict[str, Any]:
    """`schedule`, `start_date`, `end_date` and `catchup`, none left to Airflow's changing defaults.

    A cron means data intervals (a plain string would mean a trigger at each tick, whose logical date is
    the end of the window). Airflow's end date is the last logical date that runs, ours the first that does
    not. A run of `once` has the empty window at `start`, or at the time when it is made.
    """
    start, end = _utc(schedule.start, schedule.timezone), _utc(schedule.end, schedule.timezone)
    timetable: Any = None
    if schedule.kind == "cron" and schedule.cron is not None:
        timetable = CronDataIntervalTimetable(schedule.cron, schedule.timezone)
    elif schedule.kind == "once":
        timetable = "@once"
    return {
        "schedule": timetable,
        "start_date": start,
        "end_date": end - _SMALLEST if end is not None else None,
        "catchup": schedule.catchup,
    }


def trigger_form(params: Mapping[str, PipelineParam], facts: Mapping[str, str] | None = None) -> dict[str, Param]:
    """The typed fields of the form that starts a run, and our two switches behind them.

    :param facts: kept beside the switch `force`, where `sluicegate trigger` finds them over REST
    """
    form = {name: Param(each.default, each.description, schema=_schema(each)) for name, each in params.items()}
    form["dry_run"] = Param(
        default=False,
        description="Show what would happen, and keep nothing.",
        schema={"type": "boolean"},
    )
    form["force"] = Param(
        default=False,
        description="Load again what was loaded already.",
        schema={"type": "boolean", **(facts or {})},
    )
    return form


def trigger_facts(pipeline: Pipeline) -> dict[str, str]:
    """What `sluicegate trigger` has to know of a pipeline, and Airflow does not keep."""
    facts = {} if pipeline.schedule.timezone == "UTC" else {WINDOW_TIMEZONE: pipeline.schedule.timezone}
    at_most = pipeline.trigger.at_most
    return facts if at_most is None else facts | {AT_MOST: str(at_most)}


def _schema(param: PipelineParam) -> dict[str, Any]:
    """JSON Schema; a default of null makes null a valid value, else a scheduled DAG would be refused. Without a default
    null stays wrong: so Airflow refuses a run that does not say it.
    """
    schema = dict(param.json_schema)
    if param.default is not None or param.required:
        return schema
    kind = schema.get("type")
    if kind is not None:
        kinds = [kind] if isinstance(kind, str) else list(kind)
        schema["type"] = kinds if "null" in kinds else ["null", *kinds]
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema


def _utc(moment: datetime | None, timezone: str) -> datetime | None:
    """A static, aware moment in UTC; one without a zone is in the schedule's."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(UTC)


def _first_line(text: str | None) -> str | None:
    return text.strip().splitlines()[0] if text and text.strip() else None
