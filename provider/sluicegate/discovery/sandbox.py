"""Builds pipelines as Airflow would, in a process of their own, before Airflow sees them.

What an operator's module does when it is imported is anybody's guess: it may end the process, or never end. Here
that costs its own pipeline only, and nothing that is imported stays behind in the process that asks.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sluicegate.discovery.code_deps import needs
from sluicegate.discovery.compiled import CompiledPipeline
from sluicegate.factory.attempt import attempt
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.pipeline.diagnostics import BUG, bug_message

__all__ = ["SECONDS", "sandbox_diagnostics"]

SECONDS = 30.0
"""For one pipeline; as long as Airflow gives a whole file (`[core] dagbag_import_timeout`)."""
_LEAST_SECONDS = 5.0
_GRACE = 5.0
"""Seconds after which the child ends by itself, should its parent have been killed: it holds its locks."""


def sandbox_diagnostics(
    pipelines: Sequence[CompiledPipeline], seconds: float = SECONDS
) -> dict[str, tuple[UnplacedDiagnostic, ...]]:
    """What keeps each of the pipelines from being a DAG, by name; warnings too."""
    found: dict[str, tuple[UnplacedDiagnostic, ...]] = {}
    hanging: set[str] = set()
    left = list(pipelines)
    while left:
        # As many as one process can: one that takes it along is the last, and the others go on in the next.
        with _Child(tuple(left), seconds) as child:
            while left:
                pipeline = left.pop(0)
                # Who shares code with one that hangs is not waited for as long.
                patience = min(seconds, _LEAST_SECONDS) if hanging & _code(pipeline) else seconds
                answer = child.answer(patience)
                if answer is None:
                    found[pipeline.name] = (UnplacedDiagnostic((), "build", child.end(patience)),)
                    hanging |= _code(pipeline) if child.late else set()
                    break
                found[pipeline.name] = answer
    return found


def _code(pipeline: CompiledPipeline) -> set[str]:
    """The files below the dags root that building imports, as far as the pipeline names them."""
    return {path for path in needs(pipeline.pipeline) if (pipeline.pipeline.root / path).is_file()}


@dataclass
class _Child:
    """A forked process that builds one pipeline after the other and says what came of each."""

    pipelines: Sequence[CompiledPipeline]
    seconds: float
    pid: int = 0
    late: bool = False
    pipe: IO[bytes] | None = None

    def __enter__(self) -> _Child:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _build_all(self.pipelines, self.seconds, writing)
        os.close(writing)
        self.pipe = os.fdopen(reading, "rb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.pipe is not None
        self.pipe.close()
        if self.pid:
            self._reap()

    def answer(self, seconds: float) -> tuple[UnplacedDiagnostic, ...] | None:
        """What came of the next one; None when the process ended or `seconds` have passed."""
        deadline = time.monotonic() + seconds
        size = self._read(8, deadline)
        data = self._read(int.from_bytes(size, "big"), deadline) if size else None
        return pickle.loads(data) if data else None  # noqa: S301 - from our own child

    def end(self, seconds: float) -> str:
        """Why there was no answer."""
        status = self._reap()
        if self.late:
            return f"building this pipeline did not end within {seconds:g} s: what do its operators' modules do?"
        if os.WIFSIGNALED(status):
            how = signal.Signals(os.WTERMSIG(status)).name
        else:
            how = f"exit code {os.WEXITSTATUS(status)}"
        return f"building this pipeline ended the process ({how}): what do its operators' modules do?"

    def _read(self, size: int, deadline: float) -> bytes | None:
        assert self.pipe is not None
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.late = True
                return None
            some = self.pipe.read(size - len(data))
            if not some:
                return None
            data += some
        return data

    def _reap(self) -> int:
        """End the process if it has not ended yet."""
        if self.late or self.pipe is None or self.pipe.closed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status


def _build_all(pipelines: Sequence[CompiledPipeline], seconds: float, pipe: int) -> None:
    """In the child. Never returns."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        for pipeline in pipelines:
            signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)
            data = pickle.dumps(_diagnostics(pipeline))
            message = len(data).to_bytes(8, "big") + data
            while message:
                message = message[os.write(pipe, message) :]
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # No clean-up of what belongs to the parent: its sockets, its locks, its exit handlers.
        os._exit(code & 0xFF)


def _diagnostics(pipeline: CompiledPipeline) -> tuple[UnplacedDiagnostic, ...]:
    try:
        built, unplaced = attempt(pipeline.pipeline, pipeline.upstreams)
    except Exception as error:
        return (UnplacedDiagnostic((), BUG, bug_message(error, "building", pipeline.pipeline.file)),)
    if built is None:
        return tuple(unplaced)
    return (*unplaced, *_after_build(built.dag))


def _after_build(dag: Any) -> Iterator[UnplacedDiagnostic]:
    """What Airflow does with a DAG after it was made, each step of which can refuse it, and then all of its file."""
    from airflow.dag_processing.dagbag import BundleDagBag, _validate_executor_fields
    from airflow.exceptions import AirflowClusterPolicySkipDag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = BundleDagBag(dag_folder=os.devnull, bundle_path=Path(os.devnull), bundle_name="trial", collect_dags=False)
    try:
        dag.fileloc = dag.source
        dag.validate()
        _validate_executor_fields(dag)
        bag.bag_dag(dag)
        DagSerialization.to_dict(dag)
    except AirflowClusterPolicySkipDag:
        return
    except Exception as error:
        yield UnplacedDiagnostic((), "dag", f"Airflow does not take this DAG: {type(error).__name__}: {error}")
