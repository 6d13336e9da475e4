from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

from sluicegate.graph.window import Window
from sluicegate.runtime.marks import RunMark, is_forced

DAY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))


def test_a_mark_passes_through_an_xcom() -> None:
    for mark in (RunMark(DAY), RunMark(DAY, dry_run=True), RunMark(DAY.in_zone("Asia/Kolkata"))):
        assert RunMark.of(json.loads(json.dumps(mark.value))) == mark
    assert RunMark.of(None) is None


def test_a_success_counts_at_the_start_of_its_runs_window_alone() -> None:
    assert RunMark(DAY).uncounted_at(DAY.start) == ""
    assert RunMark(DAY).uncounted_at(None) == ""
    assert RunMark(DAY).uncounted_at(DAY.end) == f"the run's window is {DAY}"
    assert RunMark(DAY, dry_run=True).uncounted_at(None) == "it was a dry run"


def test_reading_marks_imports_no_airflow() -> None:
    code = "import sys, sluicegate.runtime.marks, sluicegate.wait.verdict; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "False"


def test_a_recovery_asks_for_force_by_saying_so() -> None:
    assert is_forced({"plan": "p", "force": True})
    for value in (None, {"plan": "p"}, {"force": False}, {"force": "true"}, True):
        assert not is_forced(value)
