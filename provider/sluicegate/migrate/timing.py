"""When a DAG of dag-factory runs, as the `schedule:` of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sluicegate.graph.cron import expand_cron
from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.note import Notes
from sluicegate.migrate.values import Lost, Values, duration, moment
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["TIMING_KEYS", "schedule_of"]

TIMING_KEYS = ("schedule", "schedule_interval", "timetable", "start_date", "end_date", "timezone", "catchup")
_CRON_TIMETABLES = ("CronTriggerTimetable", "CronDataIntervalTimetable")
_INTERVAL = "airflow.sdk.DeltaDataIntervalTimetable"
_UNKNOWN = "only Airflow knows its windows, so other pipelines read from this one by `latest: true` only"
_ANNUAL = "@annually"
_AT = ("schedule",)
_TICKS = (
    "a cron here makes windows: a run covers the time since the tick before, and `ds`, `ts` and `logical_date` in its "
    "templates are the beginning of that; they were the run's own tick, which is `window.end`. The first run comes a "
    "tick after `start`"
)


@dataclass(frozen=True)
class _Timed:
    """What makes runs, as keys of `schedule:`; without any, nothing does."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    timezone: str | None = None
    once: bool = False


def schedule_of(dag: Items, default_args: Items, values: Values, today: date) -> Any:
    """The value of `schedule:`; the DAG's own keys win over those of its `default_args`.

    :raises Lost: for a start, an end or a time zone that is none
    """
    notes = values.notes
    start = _limit("start_date", dag, default_args, notes, today)
    end = _limit("end_date", dag, default_args, notes, today)
    timed = _timed(dag, start, values)
    # The time zone given with the start is the one that counts.
    zone = (default_args if "start_date" not in dag else dag).get("timezone")
    timezone = timed.timezone or (str(zone.value) if zone is not None else None)
    if zone is None and (other := dag.get("timezone") or default_args.get("timezone")) is not None:
        notes.add(other, _AT, "`timezone` left out: it counts beside `start_date` only")
    if timed.once:
        if start is not None or end is not None:
            item = dag.get("start_date") or default_args.get("start_date") or dag["schedule"]
            notes.add(item, _AT, "a run of `once` has no start and no end: it is made as soon as the pipeline is there")
        return "once"
    said = dict(timed.keys)
    if said and start is None:
        start = datetime.combine(today, time())
        notes.add(_place(dag), (*_AT, "start"), "a cron needs a start, and there was none: the day of the conversion")
    if timezone is not None and timezone != "UTC":
        said["timezone"] = timezone
    said |= {"start": _shown(start)} if start is not None else {}
    if end is not None:
        said["end"] = _shown(end)
        message = "`end_date` was the last moment at which a run could be; no window begins at `end` or later"
        notes.add(next(each["end_date"] for each in (dag, default_args) if "end_date" in each), (*_AT, "end"), message)
    catchup = dag.get("catchup")
    if catchup is not None and catchup.value is not None:
        if not isinstance(catchup.value, bool):
            raise Lost(catchup, f"`catchup` is true or false, not {catchup.plain!r}")
        said |= {"catchup": True} if catchup.value and timed.keys else {}
    return said or "none"


def _place(dag: Items) -> Item:
    return next(dag[key] for key in TIMING_KEYS if key in dag)


def _limit(key: str, dag: Items, default_args: Items, notes: Notes, today: date) -> date | None:
    item = next((each[key] for each in (dag, default_args) if key in each and each[key].value is not None), None)
    if item is None:
        return None
    found = moment(item, today)
    if isinstance(item.value, str) and item.value.strip().split()[-1:] != [item.value.strip()]:
        where = (*_AT, "start" if key == "start_date" else "end")
        notes.add(item, where, f"`{key}: {item.value}` moved on with every day: the day of the conversion is taken")
    if key in dag and key in default_args and default_args[key].value != item.value:
        notes.add(default_args[key], _AT, f"`{key}` of `default_args` left out: the DAG's own counts")
    return found


def _shown(value: date) -> str:
    """A day where it is the beginning of one."""
    if isinstance(value, datetime) and value.time() == time() and value.tzinfo is None:
        value = value.date()
    return value.isoformat()


def _timed(dag: Items, start: date | None, values: Values) -> _Timed:
    notes = values.notes
    item = notes.first(dag, ("schedule", "schedule_interval", "timetable"), _AT)
    if item is None:
        return _Timed()
    if isinstance(item.value, dict) and set(item.value) == {"type", "value"}:
        item = item.value["value"]
    value = item.value
    if isinstance(value, str):
        return _of_text(value.strip(), item, notes)
    kind = str(value["__type__"].value) if isinstance(value, dict) and "__type__" in value else ""
    if kind.rpartition(".")[2] in _CRON_TIMETABLES:
        return _of_timetable(item, kind, notes)
    if kind == "datetime.timedelta":
        return _of_interval(item, start, notes)
    if kind.endswith("Timetable") and "__args__" not in value:
        return _of_own_timetable(item, kind, values)
    assets = isinstance(value, list) or kind.rpartition(".")[2] in ("Asset", "Dataset", "AssetOrTimeSchedule")
    if assets or (isinstance(value, dict) and {"datasets", "__and__", "__or__"} & set(value)):
        remedy = "give it a cron; a step that reads what another pipeline writes waits for that"
        notes.add(item, _AT, f"no pipeline is started by assets, so this one has no schedule: {remedy}")
        return _Timed()
    notes.add(
        item, _AT, f"the schedule {kind or item.plain!r} has no counterpart, so this pipeline has none: give it a cron"
    )
    return _Timed()


def _of_text(text: str, item: Item, notes: Notes, *, windows: bool = False) -> _Timed:
    """:param windows: whether its runs had windows before"""
    if text.lower() in ("none", ""):
        return _Timed()
    if text == "@once":
        return _Timed(once=True)
    cron = "@yearly" if text == _ANNUAL else text
    try:
        expand_cron(cron)
    except ValueError as error:
        notes.add(item, _AT, f"the schedule {text!r} has no counterpart, so this pipeline has none: {error}")
        return _Timed()
    if not windows:
        notes.add(item, (*_AT, "cron"), _TICKS)
    return _Timed({"cron": cron})


def _of_own_timetable(item: Item, kind: str, values: Values) -> _Timed:
    """Keep a timetable that is not a cron."""
    given = {key: one for key, one in item.value.items() if key != "__type__"}
    arguments = {key: values.plain(one, (*_AT, "with", key)) for key, one in given.items()}
    values.notes.add(item, (*_AT, "timetable"), f"a timetable: {_UNKNOWN}")
    return _Timed({"timetable": kind, **({"with": arguments} if arguments else {})})


def _of_timetable(item: Item, kind: str, notes: Notes) -> _Timed:
    given = item.value
    args = given["__args__"].plain if "__args__" in given else []
    cron = str(given["cron"].value) if "cron" in given else str(args[0]) if args else ""
    zone = given["timezone"].value if "timezone" in given else args[1] if len(args) > 1 else None
    timed = _of_text(cron, item, notes, windows=kind.endswith("CronDataIntervalTimetable"))
    others = sorted(set(given) - {"__type__", "__args__", "cron", "timezone"})
    if others:
        notes.add(item, _AT, f"{', '.join(others)} of the timetable left out: a window ends at each tick of its cron")
    return _Timed(timed.keys, str(zone) if zone else None, timed.once)


def _of_interval(item: Item, start: date | None, notes: Notes) -> _Timed:
    """The cron with the same ticks, where there is one; else a timetable."""
    every = duration(item)
    begin = start if isinstance(start, datetime) else datetime.combine(start or date.min, time())
    cron = _same_ticks(every, begin)
    if cron is None:
        notes.add(item, (*_AT, "timetable"), f"no cron says every {every}: {_UNKNOWN}")
        return _Timed({"timetable": _INTERVAL, "with": {"delta": format_duration(every)}})
    notes.add(item, (*_AT, "cron"), f"every {every}, counted from the start, has the ticks of this cron")
    return _Timed({"cron": cron})


def _same_ticks(every: timedelta, begin: datetime) -> str | None:
    minutes, rest = divmod(every, timedelta(minutes=1))
    if rest or begin.second or begin.microsecond or not minutes:
        return None
    if minutes < 60 and 60 % minutes == 0:
        first = begin.minute % minutes
        return f"{f'{first}-59' if first else '*'}/{minutes} * * * *"
    hours, odd = divmod(minutes, 60)
    if odd:
        return None
    if hours < 24 and 24 % hours == 0:
        first = begin.hour % hours
        hour = "*" if hours == 1 else f"{f'{first}-23' if first else '*'}/{hours}"
        return f"{begin.minute} {hour} * * *"
    if hours == 24:
        return f"{begin.minute} {begin.hour} * * *"
    if hours == 24 * 7:
        return f"{begin.minute} {begin.hour} * * {(begin.weekday() + 1) % 7}"
    return None
