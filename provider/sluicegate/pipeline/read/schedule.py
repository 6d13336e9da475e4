"""The `schedule:` of a file: `none`, `once`, a cron, or a mapping; its cron, timetable, zone and limits checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import available_timezones

from sluicegate.graph.cron import PRESETS, expand_cron, zone
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.pipeline.read import code
from sluicegate.pipeline.read.validate import known_keys, mapping, shown, text, validate
from sluicegate.pipeline.text.source import Report

__all__ = ["read_schedule"]

_AT: Where = ("schedule",)


def read_schedule(value: object, report: Report) -> Schedule:
    """The schedule; one without a cron where the file's is wrong (and then noted)."""
    if value is None or value == "none":
        return Schedule()
    if value == "once":
        return Schedule(kind="once")
    if not isinstance(value, dict):
        report.error(_AT, "type", f"expected none, once, a cron or keys and values, not {shown(value)}")
        return Schedule()
    given = known_keys(value, keys_of(Schedule), _AT, report, "a schedule")
    timezone = _timezone(given.get("timezone", "UTC"), report)
    start = _instant(given, "start", timezone, report)
    end = _instant(given, "end", timezone, report)
    cron = _cron(given.get("cron"), report) if "cron" in given else None
    timetable = _timetable(given, report)
    if start is not None and end is not None and end <= start:
        report.error((*_AT, "end"), "schedule", "`end` is not after `start`")
    if cron is not None and start is None and given.get("start") is None:
        report.error((*_AT, "cron"), "missing-key", "a cron needs a `start`: {cron: …, start: 2026-01-01}")
    if timetable is not None and start is None and given.get("start") is None:
        message = "a timetable needs a `start`: {timetable: …, start: 2026-01-01}"
        report.error((*_AT, "timetable"), "missing-key", message)
    kind: dict[str, Any]
    if timetable is not None:
        kind = {"kind": "timetable", **timetable}
    elif "cron" not in given:
        kind = {"kind": "none", "cron": None}
    else:
        kind = {"kind": "cron", "cron": cron} if cron is not None else {"kind": "none", "cron": None}
    rest = {"catchup": given["catchup"]} if "catchup" in given else {}
    return (
        validate(Schedule, {**kind, "timezone": timezone, "start": start, "end": end, **rest}, _AT, report)
        or Schedule()
    )


def _cron(value: object, report: Report) -> str | None:
    where = (*_AT, "cron")
    if value in ("none", "once"):
        report.error(where, "cron", f"write `schedule: {value}`, without `cron`")
        return None
    words = text(value, where, report)
    if words is None:
        return None
    try:
        return expand_cron(words)
    except ValueError as error:
        report.error(where, "cron", str(error), suggestion=_meant(words))
        return None


def _timetable(given: dict[str, Any], report: Report) -> dict[str, Any] | None:
    """Its import path and arguments; that it takes them is for the factory to check, which imports it."""
    if "timetable" not in given:
        if "with" in given:
            report.error((*_AT, "with"), "value", "`with` holds the arguments of a `timetable`", key=True)
        return None
    if "cron" in given:
        report.error((*_AT, "timetable"), "two-kinds", "`cron` says already when runs start", key=True)
        return None
    where = (*_AT, "timetable")
    path = text(given["timetable"], where, report)
    if path is None:
        return None
    try:
        code.find_attribute(path, report.source.root)
    except code.CodeError as error:
        report.error(where, "import", str(error), suggestion=error.suggestion)
        return None
    return {"timetable": path, "with": mapping(given.get("with"), (*_AT, "with"), report)}


def _meant(cron: str) -> str | None:
    if cron == "@once":
        return "once"
    return did_you_mean(cron, PRESETS) if cron.startswith("@") else did_you_mean(cron, ("none", "once"))


def _timezone(value: object, report: Report) -> str:
    where = (*_AT, "timezone")
    name = text(value, where, report)
    if name is None:
        return "UTC"
    try:
        return str(zone(name).key)
    except ValueError as error:
        report.error(where, "timezone", str(error), suggestion=did_you_mean(name, available_timezones()))
        return "UTC"


def _instant(given: dict[str, Any], key: str, timezone: str, report: Report) -> datetime | None:
    """A day or a moment, in the schedule's time zone where it names none, as UTC."""
    value = given.get(key)
    if value is None:
        return None
    moment = None
    if isinstance(value, str):
        parsers: tuple[Callable[[str], datetime], ...] = (_day, datetime.fromisoformat)
        for parse in parsers:
            try:
                moment = parse(value)
                break
            except ValueError:
                continue
    if moment is None:
        report.error((*_AT, key), "value", f"expected a day such as 2026-01-01 or a moment, not {shown(value)}")
        return None
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone(timezone))).astimezone(UTC)
    except OverflowError:
        report.error((*_AT, key), "value", f"{shown(value)} is too far away")
        return None


def _day(value: str) -> datetime:
    if "-" not in value:
        raise ValueError(value)
    return datetime.combine(date.fromisoformat(value), time())
