"""All windows together read every value of a watermark once, in whatever order they come."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.faults import FaultError
from sluicegate.ledger.watermarks import Known, Mark, Range
from sluicegate.sources.ranges import doubts_of, next_range


def mark(value: Any) -> Mark | None:
    return None if value is None else Mark.of(value)


def ask(known: Known, newest: Any, **words: Any) -> Range:
    words = {"since": None, "first": None, "anew": False} | words

    def largest(low: Mark | None, most: Mark | None) -> Mark | None:
        return mark(newest)

    return next_range(known, largest, **words)


def span(low: Any, high: Any) -> Range:
    return Range(mark(low), mark(high))


NOTHING = Known(None, None, None)


@pytest.mark.parametrize(
    ("known", "newest", "words", "expected"),
    [
        (NOTHING, 5, {}, span(None, 5)),
        (NOTHING, None, {}, span(None, None)),
        (NOTHING, 5, {"first": "2"}, span(2, 5)),
        (Known(None, span(None, 5), None), 9, {}, span(5, 9)),
        (Known(None, span(None, 5), None), 9, {"first": "2"}, span(5, 9)),
        (Known(None, span(None, 5), None), 5, {}, span(5, 5)),
        (Known(None, span(None, 5), None), None, {}, span(5, 5)),
        (Known(span(5, 9), span(None, 5), None), 12, {}, span(5, 9)),
        (Known(span(5, 9), span(None, 5), None), 12, {"anew": True}, span(5, 12)),
        (Known(span(5, 9), span(None, 5), span(9, 12)), 20, {"anew": True}, span(5, 9)),
        (Known(span(5, 9), span(None, 5), None), 12, {"since": "1"}, span(1, 12)),
        (Known(None, span(None, 5), span(5, 8)), 9, {}, span(5, 5)),
        (Known(None, None, span(None, 8)), 9, {}, span(None, None)),
        (Known(None, span(None, None), None), 9, {}, span(None, 9)),
    ],
)
def test_a_window_reads_from_where_the_one_before_ended(
    known: Known, newest: Any, words: dict[str, Any], expected: Range
) -> None:
    assert ask(known, newest, **words) == expected


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_windows_in_any_order_leave_nothing_out_and_read_nothing_twice(seed: int, count: int) -> None:
    chance = random.Random(seed)
    order = [*chance.sample(range(count), count), count]  # at last a window after all of them
    ranges: dict[int, Range] = {}
    top = 0
    for window in order:
        top += chance.randint(0, 3)
        before = [ranges[one] for one in sorted(ranges) if one < window]
        after = [ranges[one] for one in sorted(ranges) if one > window]
        known = Known(None, before[-1] if before else None, after[0] if after else None)
        ranges[window] = ask(known, top or None)
    for value in range(1, top + 1):
        readers = [
            one for one in ranges.values()
            if one.high is not None and (one.low is None or value > one.low.value) and value <= one.high.value
        ]  # fmt: skip
        assert len(readers) == 1


@pytest.mark.parametrize(
    "value",
    [7, Decimal("1.50"), 0.1, "abc", date(2026, 1, 2), datetime.fromisoformat("2026-01-02T03:04:05.000006"),
     datetime(2026, 1, 2, 3, 4, 5, 6, UTC)],
)  # fmt: skip
def test_a_value_reads_back_as_it_was(value: Any) -> None:
    assert Mark.of(value).value == value
    assert Mark(Mark.of(value).kind, Mark.of(value).text).value == value


def test_a_lookback_is_for_moments() -> None:
    assert Mark.of(datetime(2026, 1, 2, 1, tzinfo=UTC)).minus(timedelta(hours=2)) == datetime(
        2026, 1, 1, 23, tzinfo=UTC
    )
    assert Mark.of(date(2026, 1, 2)).minus(timedelta(hours=2)) == date(2026, 1, 1)
    with pytest.raises(FaultError, match="is for moments"):
        Mark.of(5).minus(timedelta(hours=2))


def test_a_watermark_that_becomes_another_type_is_a_fault() -> None:
    with pytest.raises(FaultError, match="SCHEMA_MISMATCH"):
        ask(Known(None, span(None, 5), None), "x")
    with pytest.raises(FaultError, match="'monday' is not a value of the watermark"):
        ask(NOTHING, 5, since="monday")


def test_a_beginning_with_a_zone_is_refused_where_the_watermark_has_none() -> None:
    with pytest.raises(FaultError, match="is not a value of the watermark, a timestamp"):
        ask(NOTHING, datetime.fromisoformat("2026-02-01"), first="2026-01-01T00:00+02:00")


@pytest.mark.parametrize("value", [Decimal("NaN"), float("nan"), float("inf"), Decimal("Infinity")])
def test_a_value_that_nothing_is_above_ends_no_range(value: Any) -> None:
    with pytest.raises(FaultError, match="leave it out in the query"):
        ask(NOTHING, value)


NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("high", "lookback", "words"),
    [
        (date(2026, 3, 10), None, "a day that is not over"),
        (date(2026, 3, 10), timedelta(days=1), None),
        (date(2026, 3, 9), None, None),
        (date(2026, 3, 13), timedelta(days=1), "in the future"),
        (datetime(2026, 3, 11, tzinfo=UTC), None, None),
        (datetime(2099, 1, 1, tzinfo=UTC), None, "in the future"),
        (datetime.fromisoformat("2099-01-01"), None, "in the future"),
        (20990101, None, None),
        (None, None, None),
    ],
)
def test_an_end_above_what_still_comes_is_said(high: Any, lookback: timedelta | None, words: str | None) -> None:
    found = list(doubts_of(span(None, high), lookback, NOW))
    assert [words in doubt for doubt in found if words is not None] == [True] * (words is not None)
    assert bool(found) == (words is not None)


def test_texts_are_ordered_as_the_database_orders_them() -> None:
    values = ["a", "B"]  # so in most databases, and the other way round in Python

    def newest(low: Mark | None, most: Mark | None) -> Mark | None:
        some = [value for value in values if low is None or value.lower() > low.text.lower()]
        some = [value for value in some if most is None or value.lower() <= most.text.lower()]
        return mark(max(some, key=str.lower, default=None))

    words: dict[str, Any] = {"since": None, "first": None, "anew": False}
    assert next_range(NOTHING, newest, **words) == span(None, "B")
    assert next_range(Known(None, span(None, "a"), None), newest, **words) == span("a", "B")
    assert next_range(Known(None, span(None, "B"), None), newest, **words) == span("B", "B")
    assert next_range(Known(None, span(None, "a"), span("a", "B")), newest, **words) == span("a", "a")


def test_a_beginning_without_a_zone_is_one_in_that_of_the_watermark() -> None:
    found = ask(NOTHING, datetime(2026, 2, 1, tzinfo=UTC), first="2026-01-01")
    assert found.low is not None
    assert found.low.value == datetime(2026, 1, 1, tzinfo=UTC)
