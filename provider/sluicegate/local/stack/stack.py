"""The embedded stack as Python sees it: start one and stop it again, or attach to one that runs.

    with Stack(state=Path(".sluicegate"), dags=Path("dags")) as stack:
        stack.api().get("/version")

The work is done by the supervisor, a process of its own (`supervisor`), which this module only talks to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

from sluicegate.local.stack import airflow, processes
from sluicegate.local.stack import state as state_folder
from sluicegate.local.stack.component import rotate
from sluicegate.local.stack.errors import NotRunning, StackError, WrongUse
from sluicegate.local.stack.events import Event, Progress
from sluicegate.local.stack.settings import Settings
from sluicegate.local.stack.state import Lock, Run, Secrets, State
from sluicegate.local.stack.supervisor import clean_up

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from sluicegate.api import Client


# Longer than all components' patience together.
STOP_TIMEOUT = 60.0


def _quiet(event: Event) -> None:
    """Progress that is not shown."""


class Stack:
    """Postgres, the local AWS and Airflow on one state folder.

    `bundles` replaces Airflow's list of DAG bundles (`[dag_processor] dag_bundle_config_list`), which
    otherwise finds the pipelines below `dags`. A stack that is started with `detached=True` outlives this
    process; any other one stops by itself when this process dies. `chaos` is a plan of faults on purpose at the local
    EMR, as `sluicegate up --chaos` takes it.
    """

    def __init__(
        self,
        state: Path | str | None = None,
        dags: Path | str = "dags",
        *,
        port: int | None = None,
        bundles: Sequence[Mapping[str, Any]] = (),
        detached: bool = False,
        start_timeout: float = 180.0,
        chaos: str = "",
    ) -> None:
        self._state = State.at(state)
        self._settings = Settings(
            state=self._state,
            dags=Path(dags).expanduser().resolve(),
            port=port,
            bundles=tuple(bundles),
            holder=not detached,
            start_timeout=start_timeout,
            chaos=chaos,
        )
        self._supervisor: subprocess.Popen[str] | None = None
        self._run: Run | None = None

    # ---- life ----

    def start(self, progress: Progress = _quiet) -> None:
        """Returns when everything is healthy.

        Raises `AlreadyRunning` if a stack runs on this state folder, `WrongUse` if there is no such dags
        folder, `StackError` if it cannot start: with the reason, what to do, and nothing left running.
        """
        if not self._settings.dags.is_dir():
            raise WrongUse(f"There is no folder {self._settings.dags}.", "Say where the pipelines are with --dags.")
        with self._supervisor_log() as errors:
            self._supervisor = subprocess.Popen(
                self._settings.command(),
                stdin=subprocess.PIPE if self._settings.holder else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        try:
            for event in self.events():
                progress(event)
                if event.kind == "healthy":
                    return
                if event.kind == "failed":
                    self._drain()
                    raise _failure(event)
        except BaseException:
            self._end_own(progress)
            raise
        self._end_own(progress)
        raise StackError(
            "The supervisor has ended before the stack was up.", f"Its log: {self._state.log('supervisor')}"
        )

    def _supervisor_log(self) -> IO[str]:
        """Where a traceback of the supervisor itself goes."""
        log = self._state.log("supervisor")
        try:
            self._state.create()
            if not self.is_running:
                rotate(log)
            return log.open("a", encoding="utf-8")
        except OSError as error:
            raise StackError(f"{self._state.root} cannot be used: {error}", "Choose another with --state.") from error

    def events(self) -> Iterator[Event]:
        """What the supervisor says, until it ends. Only for the `Stack` that started it."""
        if self._supervisor is None or self._supervisor.stdout is None:
            return
        for line in self._supervisor.stdout:
            event = Event.from_line(line)
            if event is not None:
                yield event

    def wait(self, progress: Progress = _quiet) -> None:
        """Until it is stopped by somebody else. Only for the `Stack` that started it.

        Raises `StackError` when it cannot go on.
        """
        for event in self.events():
            progress(event)
            if event.kind == "failed":
                self._drain()
                raise _failure(event)

    def _drain(self) -> None:
        for _ in self.events():
            pass

    def stop(self, progress: Progress = _quiet) -> bool:
        """Stop it and wait until nothing of it is left; False if nothing ran.

        Raises `StackError` if it does not end.
        """
        run, held = Run.load(self._state), Lock.held(self._state.lock)
        if self._supervisor is not None:
            self._end_own(progress)
        elif held:
            self._stop_other(run)
        self._run = None
        if Lock.held(self._state.lock):
            raise StackError(f"The stack on {self._state.root} has not ended.", "Run `sluicegate down` once more.")
        count, left = clean_up(self._state)
        if left:
            numbers = ", ".join(str(one.pid) for one in left)
            raise StackError(f"These processes of the stack cannot be ended: {numbers}.", "End them by hand.")
        return held or count > 0

    def _end_own(self, progress: Progress) -> None:
        """End the supervisor that this object has started, if it still runs."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        if supervisor.poll() is None:
            supervisor.terminate()
        try:
            for event in self.events():
                progress(event)
        except KeyboardInterrupt:
            supervisor.terminate()  # asked again: it kills what it was waiting for
            self._drain()
        supervisor.wait()
        for pipe in (supervisor.stdin, supervisor.stdout):
            if pipe is not None:
                pipe.close()
        self._supervisor = None

    def _stop_other(self, run: Run | None) -> None:
        until = time.monotonic() + 5
        while run is None or not processes.alive(run.supervisor):
            # It has the lock but has not written itself down yet, or is just about to end.
            if time.monotonic() > until or not self.is_running:
                return
            time.sleep(0.1)
            run = Run.load(self._state)
        try:
            os.kill(run.supervisor.pid, signal.SIGTERM)
        except PermissionError as error:
            raise StackError(
                f"The stack on {self._state.root} belongs to another user.", "Stop it as that user."
            ) from error
        until = time.monotonic() + STOP_TIMEOUT
        while Lock.held(self._state.lock) and time.monotonic() < until:
            time.sleep(0.1)

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return Lock.held(self._state.lock)

    # ---- where it is ----

    @property
    def state(self) -> State:
        return self._state

    @property
    def run(self) -> Run:
        """Raises `NotRunning`."""
        if self._run is None:
            run = Run.load(self._state) if self.is_running else None
            if run is None:
                raise NotRunning(f"No stack runs on {self._state.root}.", "Start one with `sluicegate up`.")
            if not run.healthy:  # still starting: not to be remembered
                return run
            self._run = run
        return self._run

    @property
    def airflow_url(self) -> str:
        return state_folder.airflow_url(self.run.ports)

    @property
    def aws_endpoint(self) -> str:
        return state_folder.aws_url(self.run.ports)

    @property
    def warehouse_url(self) -> str:
        """Without the password, to be shown."""
        return state_folder.warehouse_url(self.run.ports)

    @property
    def warehouse_dsn(self) -> str:
        """With the password: never to be shown."""
        secret = Secrets.load(self._state).warehouse_password
        return self.warehouse_url.replace("warehouse@", f"warehouse:{secret}@", 1)

    @property
    def env(self) -> dict[str, str]:
        """What an `airflow` command, or code that uses its connections, needs to belong to this stack.

        Holds passwords.
        """
        base = airflow.caller_environment()
        run = self.run
        return airflow.environment(base, self._state, Secrets.load(self._state), run.ports, run.bundles)

    def api(self) -> Client:
        """A client of Airflow's REST API as the admin. Close it."""
        from sluicegate.api import Client, Login

        password = Secrets.load(self._state).admin_password
        return Client(self.airflow_url, Login(airflow.ADMIN, password), environment_proxies=False)

    def s3(self) -> BaseClient:
        from sluicegate.local.stack import clients

        return clients.aws("s3", self.aws_endpoint, Secrets.load(self._state))

    def emr(self) -> BaseClient:
        from sluicegate.local.stack import clients

        return clients.aws("emr", self.aws_endpoint, Secrets.load(self._state))

    def chaos(self) -> Mapping[str, Any]:
        """What goes wrong on purpose at the local EMR: `plan`, what was `injected`, what is `armed`."""
        from sluicegate.local.stack import clients

        return cast("Mapping[str, Any]", clients.chaos(self.aws_endpoint, Secrets.load(self._state)))

    def arm(self, fault: str, action: str = "RunJobFlow", **more: int | float) -> None:
        """Let one exact fault happen at the local EMR: at the next call of `action`, or the next cluster.

        `times`, `skip` (calls before it) and `seconds` may be given. Raises `WrongUse` for an unknown fault.
        """
        from sluicegate.local.stack import clients

        said = {"fault": fault, "action": action, **more}
        clients.chaos(self.aws_endpoint, Secrets.load(self._state), "POST", said)


def running(state: Path | str | None = None) -> Stack | None:
    """The stack that runs, healthy, on this state folder; None if none does."""
    folder = State.at(state)
    run = Run.load(folder) if Lock.held(folder.lock) else None
    if run is None or not run.healthy:
        return None
    return Stack(folder.root, run.dags, bundles=run.bundles, detached=True)


def _failure(event: Event) -> StackError:
    from sluicegate.local.stack.errors import AlreadyRunning

    if event.exit_code == AlreadyRunning.exit_code:
        return AlreadyRunning(event.text, event.remedy)
    return StackError(event.text, event.remedy, event.exit_code)
