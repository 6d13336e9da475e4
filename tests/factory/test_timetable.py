"""A schedule that is no cron: any timetable of Airflow's, by import path."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DeltaDataIntervalTimetable
from airflow.serialization.serialized_objects import DagSerialization

from sluicegate.pipeline import PipelineErrors, read_tree
from tests.factory.files import dags_of, write

STEPS = "datasets: {out: s3://b/out.csv}\nsteps:\n  a: {python: 'os:getcwd', writes: out}\n"
DELTA = "schedule: {timetable: airflow.sdk.DeltaDataIntervalTimetable, with: {delta: 1h30m}, start: 2026-01-01}\n"


def test_a_timetable_decides_when_runs_start(root: Path) -> None:
    write(root, it="sluicegate: 1\n" + DELTA + STEPS)
    dag = dags_of(root, "it.yaml")[0]
    dag.validate()
    assert isinstance(dag.timetable, DeltaDataIntervalTimetable)
    assert dag.start_date == datetime(2026, 1, 1, tzinfo=UTC)
    back = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert back.timetable.summary == str(timedelta(minutes=90))


def test_what_has_a_timetable_is_read_only_as_the_latest(root: Path) -> None:
    reader = (
        'sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01}\nsteps: {a: {load: READ, into: table://w/t}}\n'
    )
    write(root, it="sluicegate: 1\n" + DELTA + STEPS, waits=reader.replace("READ", "it.out"))
    write(root, last=reader.replace("READ", "{dataset: it.out, latest: true}").replace("w/t", "w/u"))
    [diagnostic] = read_tree(root).diagnostics
    assert (diagnostic.file.stem, diagnostic.code) == ("waits", "window")
    assert "`it` has a timetable" in diagnostic.message
    assert dags_of(root, "last.yaml")[0].get_task("wait_for__it__a")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("{timetable: airflow.sdk.DeltaDataIntervalTimetable, with: {delta: 1h}}", r"2:23: .*needs a `start`"),
        ("{timetable: airflow.sdk.X, cron: '@daily', start: 2026-01-01}", r"2:12: .*`cron` says already"),
        ("{with: {delta: 1h}, cron: '@daily', start: 2026-01-01}", r"2:12: .*arguments of a `timetable`"),
        ("{timetable: airflow.sdkk.Delta, start: 2026-01-01}", r"2:23: error\[import\]"),
        ("{timetable: airflow.sdk.DeltaDataIntervalTimetable, start: 2026-01-01}", r"2:\d+: .*needs `delta`"),
        (
            "{timetable: airflow.sdk.DeltaDataIntervalTimetable, with: {dleta: 1h}, start: 2026-01-01}",
            r"2:70: .*`dleta`",
        ),
        ("{timetable: pathlib.PurePath, start: 2026-01-01}", r"2:23: .*cannot read `pathlib.PurePath` back"),
        ("{timetable: own_timetable.Own, start: 2026-01-01}", r"2:23: .*cannot read.*not registered"),
    ],
)
def test_mistakes_of_a_timetable_are_placed(root: Path, schedule: str, said: str) -> None:
    (root / "own_timetable.py").write_text(
        "from airflow.timetables.interval import DeltaDataIntervalTimetable\n"
        "class Own(DeltaDataIntervalTimetable):\n"
        "    def __init__(self): super().__init__(None)\n"
    )
    write(root, it=f"sluicegate: 1\nschedule: {schedule}\n{STEPS}")
    with pytest.raises(PipelineErrors, match=said):
        dags_of(root, "it.yaml")[0]
