"""A reader of several windows gets the places of those that have written something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from sluicegate.factory.build import build_dag
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run, Supervisor
from tests.wait.runs import a_run

DAY = Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
HALVES = (DAY.start, DAY.start + timedelta(hours=12))
WRITER = """\
sluicegate: 1
schedule: {cron: "0 */12 * * *", start: 2026-01-01}
datasets: {raw: "s3://lake/{{ window.start.hour }}.csv"}
steps: {fetch: {python: "ours:fetch", writes: {out: raw}}}
"""
READER = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
steps: {sum: {python: "ours:sum_up", reads: {raw: {dataset: flights.raw, on_upstream_skipped: run}}}}
"""


@pytest.fixture
def dag(tmp_path: Path) -> Any:
    (tmp_path / "ours.py").write_text("def fetch(): ...\ndef sum_up(reads): return reads['raw']\n")
    (tmp_path / "flights.yaml").write_text(WRITER)
    (tmp_path / "reader.yaml").write_text(READER)
    together = read_together(tmp_path / "reader.yaml", tmp_path)
    return build_dag(together.pipelines[0], together.upstreams)


@pytest.mark.parametrize(
    ("states", "read"),
    [
        (("success", "success"), ["s3://lake/0.csv", "s3://lake/12.csv"]),
        (("skipped", "success"), "s3://lake/12.csv"),
        (("skipped", "skipped"), ["s3://lake/0.csv", "s3://lake/12.csv"]),  # what the file asks for, with `run`
    ],
)
@pytest.mark.parametrize("waits_first", [False, True])
def test_the_places_of_windows_that_were_skipped_are_left_out(
    dag: Any, states: tuple[str, str], read: object, waits_first: bool
) -> None:
    run = Run("reader", "scheduled__1", DAY.start)
    upstream = [
        a_run(f"r{at}", date, {"fetch": state}) for at, (date, state) in enumerate(zip(HALVES, states, strict=True))
    ]
    supervisor = Supervisor(runs=[] if waits_first else upstream)
    wait = StepInstance(dag.get_task("wait_for__flights__fetch"), DAY, supervisor=supervisor, run=run)
    if waits_first:
        with pytest.raises(TaskDeferred) as deferred:
            wait.execute()
        supervisor.runs += upstream
        trigger = deferred.value.trigger
        with supervisor.attached():
            seen = trigger.sightings()  # type: ignore[union-attr]
        skipped = [each.at for each in seen if each.skipped]
        wait.resume("resume", {"event": {"outcome": "ready", "seen": "x", "skipped": skipped}})
    else:
        wait.execute()
    reader = StepInstance(dag.get_task("sum"), DAY, supervisor=supervisor, run=run)
    assert reader.stand_in(lambda reads: reads["raw"]) == read
