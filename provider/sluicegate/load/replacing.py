"""Which rows `mode: replace_window` replaces: those of the run's window, by a column of theirs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError, fault
from sluicegate.graph.cron import zone
from sluicegate.graph.window import Window
from sluicegate.records.types import ColumnType
from sluicegate.targets.target import Replaced

__all__ = ["OUTSIDE", "replaced_by", "window_rules"]

OUTSIDE = "outside_window"
"""The rule that a record of another window breaks."""


def replaced_by(
    window: Window | None,
    column: str,
    type_: ColumnType,
    column_zone: str | None,
    scope: Mapping[str, tuple[str | None, ...]],
) -> Replaced:
    """The rows that a load of `window` replaces.

    :param type_: that of `column`.
    :param scope: values that `read_values` gave.

    A date is a day in the window's own time zone, a timestamp without a zone a moment in the column's, or UTC.

    :raises FaultError: WRONG_USE when the window or the column cannot say which rows are meant.
    """
    if window is None or window.start >= window.end:
        raise _wrong("the run has no window: start it for one, as `sluicegate trigger --window` does")
    if type_.name == "date":
        ends = [_day(moment, window) for moment in (window.start, window.end)]
        return Replaced(column, ends[0], ends[1], scope)
    if type_.name == "timestamptz":
        return Replaced(column, window.start.astimezone(UTC), window.end.astimezone(UTC), scope)
    if type_.name == "timestamp":
        place = UTC if column_zone is None else zone(column_zone)
        start, end = (moment.astimezone(place).replace(tzinfo=None) for moment in (window.start, window.end))
        return Replaced(column, start, end, scope)
    raise _wrong(f"window_by names {column!r}, which is {type_} and not a date or a timestamp")


def window_rules(replaced: Replaced) -> list[Rule]:
    """What a record has to be to belong to the window: one that does not would stay when the window is replaced."""
    column = {"column": replaced.column}
    bounds = {"min_value": replaced.start, "max_value": replaced.end, "strict_max": True}
    return [
        Rule("expect_column_values_to_not_be_null", column),
        Rule("expect_column_values_to_be_between", {**column, **bounds}, OUTSIDE),
    ]


def _day(moment: datetime, window: Window) -> date:
    if moment.time() != time():
        raise _wrong(
            f"window_by is a date, and the window {window} does not begin and end at midnight: use a timestamp, or a "
            "schedule of whole days"
        )
    return moment.date()


def _wrong(why: str) -> FaultError:
    return fault("WRONG_USE", f"mode: replace_window: {why}")
