"""Parses DAG files as Airflow does, and says what it cost. Runs in a contender's own environment: imports Airflow only.

    python server.py SOCKET        ends with its standard input

Each connection gets a process of its own, forked with Airflow imported and nothing of the contender's. It is told
`{"door": …, "folder": …, "role": "processor" | "worker" | "warm worker"}` and then answers requests, one JSON
object a line. Each parse is a child forked for it; what is quoted is the child's CPU time, user and system.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class Folder:
    """DAG files as they stand in a folder."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder)

    def initialize(self) -> None:
        """There is nothing to do."""


def opened(door: str, folder: str) -> Any:
    """Something with the `path` of DAG files and an `initialize`, as bundles have."""
    if door == "folder":
        return Folder(folder)
    from sluicegate.discovery.bundle import PipelineBundle

    # Workloads of several sizes are open at once, and a bundle's name is that of its storage.
    return PipelineBundle(name=f"bench_{Path(folder).parent.name}", root=folder, refresh_interval=10)


class Session:
    """What Airflow's process does before it forks, by its role; then a child a request."""

    def __init__(self, door: str, folder: str, role: str) -> None:
        self.door, self.folder, self.role = door, folder, role
        self.bundle: Any = None
        self.prepared = 0.0
        if role == "processor":
            began = time.process_time()
            self.bundle = opened(door, folder)
            self.bundle.initialize()
            self.prepared = time.process_time() - began
            self._import_what_files_name()
        gc.collect()
        gc.freeze()

    def _import_what_files_name(self) -> None:
        """As `[dag_processor] parsing_pre_import_modules` does, which is on."""
        from airflow.utils.file import iter_airflow_imports

        names = {name for file in self.bundle.path.rglob("*.py") for name in iter_airflow_imports(str(file))}
        _import(sorted(names))

    def parse(self) -> Answer:
        """All files."""
        return _in_child(lambda: _summary(_bag(self.bundle.path, self.bundle.path)))

    def sizes(self) -> Answer:
        """Bytes of all serialized DAGs, one of them whole, and what must be the same whoever made it."""

        def work() -> Answer:
            from airflow.serialization.serialized_objects import DagSerialization

            bag = _bag(self.bundle.path, self.bundle.path)
            if bag.import_errors:
                return _summary(bag)
            began = time.process_time()
            data = {name: DagSerialization.to_dict(dag) for name, dag in bag.dags.items()}
            seconds = time.process_time() - began
            texts = [json.dumps(each, sort_keys=True) for each in data.values()]
            first = min(data)
            promised = {name: _promised(dag) for name, dag in bag.dags.items()}
            sizes = {"bytes": sum(map(len, texts)), "seconds": seconds, "first": data[first], "promised": promised}
            return _summary(bag) | sizes

        return _in_child(work)

    def where(self, dag: str) -> Answer:
        """The file that a worker is told to parse for `dag`."""
        return _in_child(lambda: {"file": _bag(self.bundle.path, self.bundle.path).dags[dag].relative_fileloc})

    def start(self, dag: str, task: str, file: str) -> Answer:
        """What a worker does for one task: its bundle, then the one file, told which DAG is wanted."""

        def work() -> Answer:
            os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag
            os.environ["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = task
            before = set(sys.modules)
            bundle = opened(self.door, self.folder)
            bundle.initialize()
            bag = _bag(bundle.path / file, bundle.path, safe_mode=False)
            bag.dags[dag].task_dict[task]
            # In the order of import; a DAG file is imported under a name with this prefix.
            added = [name for name in sys.modules if name not in before and not name.startswith("unusual_prefix_")]
            return _summary(bag) | {"modules": added}

        answer = _in_child(work)
        if self.role == "warm worker" and answer.get("modules"):
            _import(answer["modules"])
            gc.freeze()
        return answer

    def refresh(self) -> Answer:
        """In this very process, as Airflow's: what is cached from one to the next is kept."""
        began, wall = time.process_time(), time.perf_counter()
        self.bundle.refresh()
        return {"cpu": time.process_time() - began, "wall": time.perf_counter() - wall}


def _bag(files: Path, root: Path, *, safe_mode: bool = True) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(
        dag_folder=str(files), bundle_path=root, bundle_name="bench", safe_mode=safe_mode, load_op_links=False
    )


def _summary(bag: Any) -> Answer:
    errors = {str(file): text[-2000:] for file, text in bag.import_errors.items()}
    return {"dags": len(bag.dags), "tasks": sum(len(dag.tasks) for dag in bag.dags.values()), "errors": errors}


def _promised(dag: Any) -> Answer:
    """What the workload says of a DAG, as it came out. A factory may add a tag of its own."""
    tasks = {
        task.task_id: [
            type(task).__name__, getattr(task, "bash_command", None), sorted(task.downstream_task_ids), task.owner,
            task.retries, task.retry_delay, task.max_retry_delay, float(task.retry_exponential_backoff),
        ]
        for task in dag.tasks
    }  # fmt: skip
    start = getattr(dag, "start_date", None) or min(task.start_date for task in dag.tasks)
    tags = [tag for tag in dag.tags if tag == "bench" or tag.startswith("team_")]
    schedule = [getattr(dag.timetable, "expression", None), start, dag.catchup]
    return {"tasks": tasks, "schedule": schedule, "tags": sorted(tags), "description": dag.description}


def _import(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _in_child(work: Callable[[], Answer]) -> Answer:
    """What `work` returns in a child, with the child's CPU seconds and memory in MB.

    `peak`: the most that was resident beyond what was there after the fork. `private`: what it shares with
    nobody when the work is done and all DAGs are there.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
            before = _resident()
            answer = work()
            answer |= {"peak": _peak() - before, "private": _private()}
        except BaseException as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(answer, default=str).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    _, _, usage = os.wait4(pid, 0)
    answer = json.loads(text or b'{"failed": "the child ended without a word"}')
    return {**answer, "cpu": usage.ru_utime + usage.ru_stime}


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _private() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) * 1024 / 1e6


def serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    session: Session | None = None
    with connection.makefile("rw", encoding="utf-8") as stream:
        for line in stream:
            request = json.loads(line)
            try:
                if session is None:
                    session = Session(**request)
                    answer = {"cpu": session.prepared}
                else:
                    answer = getattr(session, request.pop("ask"))(**request)
            except Exception as error:
                answer = {"failed": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


def main(address: str) -> None:
    # All that a worker and the processor have imported before they know of any DAG file.
    import airflow.dag_processing.bundles.manager
    import airflow.dag_processing.dagbag
    import airflow.dag_processing.processor
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return  # whoever started it has gone
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.close(0)
                serve(connection)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
