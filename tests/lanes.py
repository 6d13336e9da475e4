"""What the log of a whole run ends with: how each worker spent its time, and in a few lines what failed and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

_WORTH = 8.0
_LINES = 30


class _Stretch(NamedTuple):
    group: str
    start: float
    stop: float


class Lanes:
    """Listens to the reports of all workers; `group_of` names what stays on one of them."""

    def __init__(self, group_of: Any) -> None:
        self._group_of = group_of
        self._lanes: dict[str, list[_Stretch]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        lane = self._lanes.setdefault(getattr(report, "worker_id", "alone"), [])
        group = self._group_of(report.location[0].removeprefix("tests/"))
        if lane and lane[-1].group == group:
            lane[-1] = lane[-1]._replace(stop=report.stop)
        else:
            lane.append(_Stretch(group, report.start, report.stop))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
        """A log that is cut at its beginning shall still hold what failed: durations are left out then."""
        failed = [each for kind in ("failed", "error") for each in terminalreporter.stats.get(kind, [])]
        if failed:
            config.option.durations = None
            terminalreporter.stats.pop("warnings", None)
        elif config.getoption("dist", "no") == "loadscope":
            self._say_lanes(terminalreporter)
        yield
        if failed:
            _say_failures(terminalreporter, failed)

    def _say_lanes(self, terminalreporter: Any) -> None:
        terminalreporter.section("lanes")
        began = min((lane[0].start for lane in self._lanes.values()), default=0.0)
        for worker, lane in sorted(self._lanes.items()):
            long = [f"{each.start - began:.0f} {each.group}" for each in lane if each.stop - each.start >= _WORTH]
            terminalreporter.write_line(f"{worker}: {', '.join([*long, f'{lane[-1].stop - began:.0f} end'])}")


def _say_failures(terminalreporter: Any, failed: list[pytest.TestReport]) -> None:
    terminalreporter.section("what failed, in short")
    for report in failed[:8]:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = f"{crash.path}:{crash.lineno}: {crash.message}" if crash else str(report.longrepr)
        lines = said.splitlines()
        cut = lines if len(lines) <= _LINES else [*lines[:20], "...", *lines[-10:]]
        terminalreporter.write_line(f"{report.when} of {report.nodeid}:")
        for line in cut:
            terminalreporter.write_line(f"  {line[:300]}")
