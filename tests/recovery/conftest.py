"""One embedded stack for all nights, in the files `test_night*.py`; they begin at once, before the first test.

A test that recovers a night changes it for good: the file that looks at how each failed comes first.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sluicegate.local.stack import Stack
from sluicegate.local.stack.airflow import pipeline_bundles
from sluicegate.testing.airflow import rest_of
from tests.recovery.night import Airflow, Night, deliver
from tests.recovery.nights import nights
from tests.recovery.replay import OVER, Result, Schedule, played_in, shapes

_FOLDER = "SLUICEGATE_NIGHTS"


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("nights")
    dags = shutil.copytree(Path(__file__).parent / "dags", folder / "dags")
    flags = folder / "flags"
    flags.mkdir()
    for night in nights():
        for flag in (*night.flags, *night.later):
            (flags / flag).touch()
        for name in night.given:
            deliver(folder / name)
    (folder / "shapes.json").write_text(json.dumps(shapes()))
    by_hand = {
        "name": "by_hand",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags)},
    }
    os.environ[_FOLDER] = str(folder)
    try:
        with (
            Stack(folder / "state", dags, bundles=[by_hand, *pipeline_bundles(str(dags))]) as stack,
            rest_of(stack) as api,
        ):
            yield Airflow(api, stack, folder)
    finally:
        del os.environ[_FOLDER]


@pytest.fixture(scope="package")
def replayed(airflow: Airflow) -> Iterator[Future[dict[int, tuple[Schedule, Result]]]]:
    """What comes of the schedules of `replay`; played meanwhile, as it is mostly waiting."""
    OVER.clear()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(played_in, airflow)
        OVER.set()


@pytest.fixture(scope="package")
def night(airflow: Airflow) -> Callable[[str], Night]:
    """A night by its name, once it has failed as planned."""
    known = {each.name: each for each in nights()}
    failed: dict[str, Night] = {}

    def found(name: str) -> Night:
        if name not in failed:
            known[name].airflow = airflow
            known[name].wait_until_failed()
            failed[name] = known[name]
        return failed[name]

    return found
