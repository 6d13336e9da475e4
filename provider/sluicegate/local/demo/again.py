"""Letting an earlier demo's runs run again, with or without `force`."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.api.answers import DagRun
from sluicegate.api.runs import Runs
from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["start_again"]


def start_again(runs: Runs, pipeline: Pipeline, there: Sequence[DagRun], *, force: bool) -> None:
    """Let the runs of one pipeline that are `there` run once more.

    A clear carries no params, so a change of `force` goes through a backfill that reprocesses.
    """
    if pipeline.schedule.kind == "cron":
        if force or any(run.conf.get("force") for run in there):
            starts = [run.start for run in there]
            runs.backfill(pipeline.name, min(starts), max(starts), {"force": force})
        else:
            runs.clear(there)
        return
    runs.delete([run for run in there if run.run_type == "manual"])
    if force:
        runs.trigger(pipeline.name, {"force": True})
    else:
        runs.clear([run for run in there if run.run_type != "manual"])
