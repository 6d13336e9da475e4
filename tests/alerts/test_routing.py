"""Which channels get an alert."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.alerts.routing import channels_for, severity_of
from sluicegate.faults import CATALOGUE
from sluicegate.pipeline.keys.alerts import Channel, Severity


def chosen(code: str, **channels: dict[str, Any] | None) -> tuple[str, ...]:
    made = {name: None if keys is None else Channel(notifier="a.B", **keys) for name, keys in channels.items()}
    return channels_for(made, CATALOGUE[code], severity_of(CATALOGUE[code]))


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("DISK_FULL", ("every", "fatal", "worst")),
        ("SOURCE_MISSING", ("every", "by_code")),
        ("SOURCE_UNREADABLE", ("every",)),
        ("NETWORK", ("every", "by_code")),
        ("PIPELINE_LATE", ("every", "fatal", "by_code")),
        ("PIPELINE_STALLED", ("every", "fatal", "by_code")),
        ("ALERT_UNDELIVERED", ("every", "fatal", "by_code", "worst")),
    ],
)
def test_code_class_and_severity_choose(code: str, names: tuple[str, ...]) -> None:
    assert set(
        chosen(
            code,
            every={},
            fatal={"faults": "fatal"},
            by_code={"faults": ["transient", "SOURCE_MISSING"]},
            worst={"severity": "critical", "late": False},
            silent=None,
        )
    ) == set(names)


def test_what_is_said_of_the_severity_counts() -> None:
    channels = {"page": Channel(notifier="a.B", severity=Severity.CRITICAL)}
    assert channels_for(channels, CATALOGUE["SOURCE_MISSING"], Severity.ERROR) == ()
    assert channels_for(channels, CATALOGUE["SOURCE_MISSING"], Severity.CRITICAL) == ("page",)
