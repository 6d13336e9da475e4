"""The worker is killed with SIGKILL at each call to AWS; the next try makes it right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Worker:
    """`worker.py`, one task try at a time. `kill_at` counts the calls to EMR, from 0; None lets it live."""

    def __init__(self, aws: Any, root: Path, store: Path) -> None:
        self.aws, self.root, self.store = aws, root, store
        self.calls: list[str] = []
        self.tries = 0
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"AIRFLOW__SLUICEGATE__DEPLOYMENT": "prod"},
        )  # fmt: skip
        assert self._line() == "ready"

    def run(self, *, kill_at: int | None = None, event: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """What the try says in the end; None when it was killed."""
        self.tries += 1
        self.calls.clear()
        born, pid = threading.Event(), [0]

        def tap(action: str) -> None:
            self.calls.append(action)
            if len(self.calls) - 1 == kill_at:
                assert born.wait(120)
                os.kill(pid[0], signal.SIGKILL)

        self.aws.tap = tap
        order = {
            "root": str(self.root), "store": str(self.store),
            "try_number": self.tries, "max_tries": 2, "event": event,
        }  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        said = None
        while "status" not in (line := json.loads(self._line())):
            if "pid" in line:
                pid[0] = line["pid"]
                born.set()
            else:
                said = line
        assert line["status"] == (0 if kill_at is None else -signal.SIGKILL)
        return said

    def fresh(self) -> None:
        self.store.unlink(missing_ok=True)
        self.aws.clusters.clear()
        self.tries = 0

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(120)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def worker(aws: Any, root: Path, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(aws, root, tmp_path / "store.json")
    yield worker
    worker.stop()


def test_wherever_a_worker_is_killed_there_is_one_cluster_and_one_run(aws: Any, worker: Worker) -> None:
    assert worker.run() == {"deferred": "j-0001"}
    start = list(worker.calls)
    assert start.count("RunJobFlow") == 1
    for point in range(len(start)):
        worker.fresh()
        assert worker.run(kill_at=point) is None, start[point]
        assert worker.run() == {"deferred": "j-0001"}, f"killed at {start[point]}"
        assert list(aws.clusters) == ["j-0001"], f"killed at {start[point]}"

    ended = {"outcome": "ended", "cluster_id": "j-0001"}
    aws.finish("j-0001")
    assert worker.run(event=ended) == {"done": "j-0001"}
    end = list(worker.calls)
    for point in range(len(end)):
        worker.fresh()
        worker.run()
        aws.finish("j-0001")
        assert worker.run(kill_at=point, event=ended) is None, end[point]
        assert worker.run() == {"done": "j-0001"}, f"killed at {end[point]}"
        assert list(aws.clusters) == ["j-0001"], f"killed at {end[point]}"
