"""One demo, from nothing to the tables: start the stack, run the samples, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

from sluicegate.api.answers import DagRun, TaskInstance
from sluicegate.api.run_and_wait import wait_until_finished
from sluicegate.api.runs import Runs
from sluicegate.local.demo import report, show
from sluicegate.local.demo.again import start_again
from sluicegate.local.demo.samples import expected_windows, is_sample, upstreams_first
from sluicegate.local.stack.errors import StackError, WrongUse
from sluicegate.local.stack.events import Progress
from sluicegate.local.stack.stack import Stack, running
from sluicegate.local.stack.where import where
from sluicegate.pipeline import read_tree
from sluicegate.pipeline.keys.model import LoadStep, Pipeline

__all__ = ["Demo"]

_PARSE_TIMEOUT = 120.0


class Demo:
    """The samples below `dags` on the stack of `state`.

    :param timeout: the limit for all runs together, in seconds.
    :param day: of an earlier demo, repeat this day and what has no day; None: all days.
    """

    def __init__(self, *, dags: Path, state: Path, timeout: float, console: Console, day: date | None = None) -> None:
        self._dags, self._state, self._day = dags, state, day
        self._timeout, self._console = timeout, console

    @contextmanager
    def stack(self, progress: Progress) -> Iterator[tuple[Stack, bool]]:
        """The stack, and whether it is ours to stop: one that runs already is used and left running.

        Raises `StackError` when there is none and it cannot be started.
        """
        there = running(self._state)
        if there is not None:
            if there.run.dags != str(self._dags.resolve()):
                raise StackError(
                    f"A stack with other pipelines ({there.run.dags}) runs on {self._state}.",
                    "Stop it with `sluicegate down`, or give the demo a --state of its own.",
                )
            yield there, False
            return
        stack = Stack(self._state, self._dags)
        stack.start(progress)
        try:
            yield stack, True
        finally:
            stack.stop(progress)

    def samples(self, now: datetime) -> dict[str, Pipeline]:
        """The pipelines whose runs are all in the past.

        Raises `WrongUse` when there is no such folder, none in it, or none has a run for the day that was asked for.
        """
        if not self._dags.is_dir():
            raise WrongUse(f"There is no folder {self._dags}.", "Say where the sample pipelines are with --dags.")
        tree = read_tree(self._dags)
        found = {name: pipeline for name, pipeline in tree.pipelines.items() if is_sample(pipeline, now)}
        if not found:
            raise WrongUse(
                f"{self._dags} has no sample pipelines.",
                "Run it from a checkout of Sluicegate, or say where they are with --dags.",
            )
        days = {window.start.date() for p in found.values() for window in expected_windows(p.schedule)}
        if self._day is not None and self._day not in days:
            raise WrongUse(
                f"No sample has a run for {self._day}.", f"Choose one of {', '.join(map(str, sorted(days)))}."
            )
        return found

    def _repeats(self, run: DagRun, samples: Mapping[str, Pipeline]) -> bool:
        """Whether a run of an earlier demo is among those to repeat and to report."""
        return self._day is None or samples[run.dag_id].schedule.kind != "cron" or run.start.date() == self._day

    def run(self, stack: Stack, samples: Mapping[str, Pipeline], *, force: bool) -> bool:
        """Run them all and write the report; False when a run failed, which has been shown then.

        Raises `StackError` when the runs do not come to an end in time.
        """
        began = datetime.now(UTC)
        expected = {name: max(1, len(expected_windows(p.schedule))) for name, p in samples.items()}
        with stack.api() as client:
            runs = Runs(client, list(samples))
            self._wait_for_dags(runs, samples)
            self._start_again(runs, samples, expected, force=force)
            with show.Watcher(self._console) as watcher:
                try:
                    done = wait_until_finished(runs, expected, on_change=watcher.show, timeout=self._timeout)
                except TimeoutError as error:
                    raise StackError(str(error), f"The tasks' logs are below {stack.state.logs}.") from error
            tasks = runs.tasks()
            repeated = [run for run in done if self._repeats(run, samples)]
            self._report(stack, runs, samples, repeated, tasks, began)
            failed = [run for run in done if run.state == "failed"]
            show.print_failures(self._console, _first_failures(runs, failed, tasks))
        return not failed

    def _wait_for_dags(self, runs: Runs, samples: Mapping[str, Pipeline]) -> None:
        deadline = time.monotonic() + _PARSE_TIMEOUT
        while missing := samples.keys() - runs.known_dags():
            if time.monotonic() > deadline:
                errors = "\n".join(runs.import_errors().values())
                raise StackError(
                    f"Airflow has not found {', '.join(sorted(missing))} in {_PARSE_TIMEOUT:.0f} s.",
                    errors or "Look into dag-processor.log in the folder of logs.",
                )
            time.sleep(0.5)

    def _start_again(
        self, runs: Runs, samples: Mapping[str, Pipeline], expected: Mapping[str, int], *, force: bool
    ) -> None:
        """Clear what an earlier demo left. One that was interrupted is left to go on."""
        there = runs.all()
        complete = all(sum(run.dag_id == name for run in there) >= count for name, count in expected.items())
        if not complete or not all(run.finished for run in there):
            return
        there = [run for run in there if self._repeats(run, samples)]
        self._console.print(f"Clearing {len(there)} runs of an earlier demo: they run again.")
        # Upstream first: a reader that is cleared before its upstream would find the old success.
        for name in upstreams_first(samples):
            start_again(runs, samples[name], [run for run in there if run.dag_id == name], force=force)

    def _report(
        self,
        stack: Stack,
        runs: Runs,
        samples: Mapping[str, Pipeline],
        done: list[DagRun],
        tasks: list[TaskInstance],
        began: datetime,
    ) -> None:
        loads = []
        order = upstreams_first(samples)
        for run in sorted(_newest(done, samples), key=lambda run: (order.index(run.dag_id), run.start)):
            for step in samples[run.dag_id].steps.values():
                result = runs.result(run, step.name) if isinstance(step, LoadStep) else None
                if isinstance(result, Mapping):
                    loads.append(report.load_of(run, step.name, result))
        outcome = report.DemoReport(
            loads=tuple(loads),
            dead_letters=report.dead_letters(stack.warehouse_dsn, samples),
            clusters=report.cluster_lives(stack.emr(), began),
            warehouse=stack.warehouse_url,
            seconds=round((datetime.now(UTC) - began).total_seconds(), 1),
        )
        outcome.write(stack.state.root / "demo.json")
        show.print_report(self._console, outcome, where(stack))


def _newest(runs: list[DagRun], samples: Mapping[str, Pipeline]) -> list[DagRun]:
    """One run a window; of a pipeline that runs once, the one that was made last."""
    newest: dict[object, DagRun] = {}
    for run in sorted(runs, key=lambda run: run.start):
        windowed = samples[run.dag_id].schedule.kind == "cron"
        newest[run.dag_id, run.start if windowed else None] = run
    return list(newest.values())


def _first_failures(
    runs: Runs, failed: list[DagRun], tasks: list[TaskInstance]
) -> list[tuple[DagRun, TaskInstance, list[str]]]:
    by_id = {(run.dag_id, run.run_id): run for run in failed}
    return [
        (by_id[task.dag_id, task.run_id], task, runs.log_tail(task))
        for task in tasks
        if task.state == "failed" and (task.dag_id, task.run_id) in by_id
    ]
