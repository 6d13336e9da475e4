from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import CronDataIntervalTimetable
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction
from pendulum import instance

from sluicegate.factory.dag import schedule_arguments, trigger_form
from sluicegate.pipeline.keys.model import Param, Schedule


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2013, 2, number, hour, tzinfo=UTC)


def runs(arguments: dict[str, Any], catchup: bool = True) -> list[tuple[datetime, datetime]]:
    """The data intervals that Airflow's own scheduler would make runs for."""
    timetable = coerce_to_core_timetable(arguments["schedule"])
    start, end = arguments["start_date"], arguments["end_date"]
    restriction = TimeRestriction(instance(start), end and instance(end), catchup)
    made: list[tuple[datetime, datetime]] = []
    last = None
    while len(made) < 100:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None:
            return made
        last = info.data_interval
        made.append((last.start, last.end))
    return made


def cron(text: str, start: datetime, end: datetime, timezone: str = "UTC") -> Schedule:
    return Schedule(kind="cron", cron=text, start=start, end=end, timezone=timezone, catchup=True)


def test_the_end_is_exclusive_for_a_daily_pipeline() -> None:
    made = runs(schedule_arguments(cron("@daily", day(11), day(14))))
    assert made == [(day(11), day(12)), (day(12), day(13)), (day(13), day(14))]


def test_the_end_is_exclusive_at_another_hour() -> None:
    made = runs(schedule_arguments(cron("0 7 * * *", day(11), day(14))))
    assert made == [(day(11, 7), day(12, 7)), (day(12, 7), day(13, 7)), (day(13, 7), day(14, 7))]


def test_a_local_time_zone_decides_the_ticks() -> None:
    made = runs(schedule_arguments(cron("@daily", day(11, 5), day(13, 5), "America/New_York")))
    assert made == [(day(11, 5), day(12, 5)), (day(12, 5), day(13, 5))]


def test_a_cron_means_data_intervals_and_nothing_is_left_to_defaults() -> None:
    arguments = schedule_arguments(Schedule(kind="cron", cron="@daily", start=day(11)))
    assert isinstance(arguments["schedule"], CronDataIntervalTimetable)
    assert arguments["start_date"] == day(11)
    assert arguments["start_date"].tzinfo is UTC
    assert arguments["end_date"] is None
    assert arguments["catchup"] is False


def test_once_runs_once_with_a_window_at_its_start() -> None:
    from airflow.timetables.simple import OnceTimetable

    arguments = schedule_arguments(Schedule(kind="once", start=day(11)))
    assert arguments["schedule"] == "@once"
    once = OnceTimetable()
    restriction = TimeRestriction(instance(day(11)), None, False)
    info = once.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info is not None
    assert (info.data_interval.start, info.data_interval.end) == (day(11), day(11))
    again = once.next_dagrun_info(last_automated_data_interval=info.data_interval, restriction=restriction)
    assert again is None


def test_none_is_never_scheduled() -> None:
    assert schedule_arguments(Schedule())["schedule"] is None


def test_a_default_of_null_makes_a_param_nullable() -> None:
    form = trigger_form({"carrier": Param(default=None, description="One", json_schema={"type": "string"})})
    assert form["carrier"].schema == {"type": ["null", "string"]}
    assert form["carrier"].description == "One"
    assert form["carrier"].resolve() is None
    assert form["carrier"].resolve("AA") == "AA"


def test_a_nullable_choice_offers_null() -> None:
    schema = {"type": ["string", "null"], "enum": ["a", "b"]}
    form = trigger_form({"x": Param(default=None, json_schema=schema)})
    assert form["x"].resolve() is None
    assert schema["enum"] == ["a", "b"], "the pipeline's own schema must stay as it is"


def test_a_default_keeps_its_schema_and_is_checked_by_it() -> None:
    form = trigger_form({"n": Param(default=3, json_schema={"type": "integer", "maximum": 5})})
    assert form["n"].schema == {"type": "integer", "maximum": 5}
    with pytest.raises(Exception, match="maximum"):
        form["n"].resolve(9)


def test_dry_run_and_force_are_typed_switches_that_are_off() -> None:
    form = trigger_form({})
    assert {name: param.resolve() for name, param in form.items()} == {"dry_run": False, "force": False}
    for param in form.values():
        assert param.description
        with pytest.raises(Exception, match="boolean"):
            param.resolve("yes")


def test_nothing_here_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule_arguments(cron("@daily", day(11), day(14)))
