from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.pipeline.text.quantities import Limit, format_duration, parse_duration


@given(st.integers(0, 10**9))
def test_a_duration_comes_back(seconds: int) -> None:
    value = timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("6h", 21600), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400), (" 5m ", 300)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "30", 30, 1.5, True, None, "h", "5 m", "-5m", "1.5h", "5min", "٣s", "9" * 30 + "d", [], {}]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(value)


@given(st.decimals(0, 100, places=3))
def test_a_share_comes_back(share: Decimal) -> None:
    assert Limit.parse(str(Limit.parse(f"{share}%"))) == Limit.parse(f"{share}%")


@pytest.mark.parametrize("value", ["", "5", "101%", "-1%", -1, True, 0.5, None, "five", "٣%"])
def test_what_is_no_limit_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="rows or a share"):
        Limit.parse(value)


@pytest.mark.parametrize(
    ("limit", "dead", "read", "exceeded"),
    [
        ("5%", 5, 100, False),
        ("5%", 6, 100, True),
        ("0%", 0, 0, False),
        ("0%", 1, 100, True),
        (0, 1, 9, True),
        (3, 3, 3, False),
    ],
)
def test_a_limit_is_what_is_still_allowed(limit: str | int, dead: int, read: int, exceeded: bool) -> None:
    assert Limit.parse(limit).exceeded_by(dead, read) is exceeded
