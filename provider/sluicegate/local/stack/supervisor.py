"""The process that keeps a stack up (`python -m sluicegate.local.stack.supervisor`): what starts, in which order.

It says what happens as events on its standard output (`events`); `stack` starts it.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace

import psutil

from sluicegate.local.stack import airflow, aws, databases, ports, postgres, processes
from sluicegate.local.stack.component import Component, rotate
from sluicegate.local.stack.errors import AlreadyRunning, StackError
from sluicegate.local.stack.events import Event
from sluicegate.local.stack.extra import require_extra
from sluicegate.local.stack.fork_server import ForkServer
from sluicegate.local.stack.pools import PoolKeeper
from sluicegate.local.stack.settings import Settings
from sluicegate.local.stack.state import Lock, Ports, ProcessId, Run, Secrets, State, airflow_url
from sluicegate.local.stack.supervise import Loop, StopRequested, environment

# What runs tasks, then the api-server they report to, then what they work on.
STOP_ORDER = (("scheduler", "dag-processor", "triggerer"), ("api-server",), ("aws",), ("postgres",))


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = settings.state
        self._loop = Loop(self._state.logs, self._say, self._note_process, settings.holder)
        self._begun = time.monotonic()
        self._run: Run

    # ---- the whole life ----

    def live(self) -> int:
        """Start, watch until asked to stop, stop. The exit status for the command."""
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, lambda *_: self._loop.ask_to_stop())
        processes.adopt_orphans()
        os.set_blocking(1, False)  # a reader who does not read must not hold up the watch
        lock = None
        try:
            lock = self._take_lock()
            pools = self._start()
            while True:
                self._loop.tick()
                pools.tick()
        except StopRequested:
            return 0
        except Exception as error:
            return self._fail(error)
        finally:
            if lock is not None:
                self._say(Event("stopping", "stopping"))
                self._loop.stop(STOP_ORDER)
                self._state.run.unlink(missing_ok=True)
                lock.release()
                self._say(Event("stopped", "stopped"))

    def _fail(self, error: Exception) -> int:
        """Say why; the exit status."""
        if not isinstance(error, StackError):
            traceback.print_exception(error)  # to the supervisor's log
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            remedy = "Free some space, then try again." if full else f"More is in {self._state.log('supervisor')}."
            error = StackError(f"The stack cannot go on: {error}", remedy)
        self._say(Event("failed", error.message, remedy=error.remedy, exit_code=error.exit_code))
        return error.exit_code

    def _take_lock(self) -> Lock:
        self._state.create()
        lock = Lock.take(self._state.lock)
        if lock is None:
            run = Run.load(self._state)
            where = f" at {airflow_url(run.ports)}" if run else ""
            raise AlreadyRunning(f"A stack runs already on {self._state.root}{where}.", "`sluicegate down` stops it.")
        return lock

    # ---- starting ----

    def _start(self) -> PoolKeeper:
        require_extra()
        self._clean_up_survivors()
        for log in self._state.logs.glob("*.log"):
            if log != self._state.log("supervisor"):  # open: it is this process's standard error
                rotate(log)
        secrets = Secrets.load_or_generate(self._state)
        chosen = ports.choose(self._state, self._settings.port)
        bundles = [dict(one) for one in self._settings.bundles]
        self._run = Run(
            supervisor=processes.identify(os.getpid()),
            dags=str(self._settings.dags),
            ports=chosen,
            bundles=bundles or airflow.pipeline_bundles(str(self._settings.dags)),
            chaos=self._settings.chaos,
        )
        self._run.save(self._state)
        base = airflow.caller_environment() | {processes.STATE_MARK: str(self._state.root)}
        env = airflow.environment(base, self._state, secrets, chosen, self._run.bundles)
        airflow.write_home(self._state, secrets)
        fork_server = ForkServer(env, self._state.log("fork-server"), self._state.airflow)
        self._loop.launch(aws.component(self._state, chosen, secrets, environment(base, "aws"), self._settings.chaos))
        self._start_postgres(base, chosen, secrets)
        self._start_airflow(env, chosen, secrets, fork_server)
        fork_server.close()
        self._loop.wait_for_all(self._settings.start_timeout)
        self._run = replace(self._run, healthy=True)
        self._run.save(self._state)
        seconds = time.monotonic() - self._begun
        self._say(Event("healthy", f"up in {seconds:.0f} s", seconds=seconds))
        to_airflow = functools.partial(databases.connect, chosen, secrets, databases.AIRFLOW)
        return PoolKeeper(self._settings.dags, to_airflow, self._say)

    def _clean_up_survivors(self) -> None:
        count, left = clean_up(self._state)
        if left:
            numbers = ", ".join(str(one.pid) for one in left)
            raise StackError(f"An earlier stack's processes cannot be ended: {numbers}.", "End them, then try again.")
        if count:
            self._say(Event("note", f"ended {count} processes that an earlier stack had left behind"))
        # Its process is gone, but the number in it may by now be another's, which would keep Postgres out.
        (postgres.data_folder(self._state) / "postmaster.pid").unlink(missing_ok=True)

    def _start_postgres(self, base: Mapping[str, str], chosen: Ports, secrets: Secrets) -> None:
        run_as = postgres.choose_run_as(self._state, postgres.Binaries.find())
        if not postgres.data_folder(self._state).exists():
            self._initdb(base, secrets, run_as)

        def ready(since: float) -> bool:
            with contextlib.suppress(databases.NotReachable), databases.connect(chosen, secrets):
                return True
            return False

        server = self._postgres("postgres", base, run_as, postgres.server(self._state, run_as, chosen.postgres))
        self._loop.launch(replace(server, ready=ready))
        self._loop.wait_for("postgres", 60)
        with databases.connect(chosen, secrets) as connection:
            databases.ensure(connection, secrets)
        databases.write_pgpass(self._state, chosen, secrets)

    def _initdb(self, base: Mapping[str, str], secrets: Secrets, run_as: postgres.RunAs) -> None:
        draft = postgres.draft_folder(self._state)
        shutil.rmtree(draft, ignore_errors=True)
        password_file = postgres.write_password_file(self._state, secrets, run_as)
        try:
            self._loop.run(self._postgres("initdb", base, run_as, postgres.initdb(self._state, run_as, password_file)))
        finally:
            password_file.unlink(missing_ok=True)
        draft.rename(postgres.data_folder(self._state))

    def _postgres(
        self, name: str, base: Mapping[str, str], run_as: postgres.RunAs, command: Sequence[str]
    ) -> Component:
        return Component(
            name=name,
            command=tuple(command),
            env=environment(base, "postgres"),
            log=self._state.log("postgres"),
            cwd=self._state.postgres,
            stop_signal=postgres.STOP_SIGNAL,
            patience=10,
            user=run_as.user,
            group=run_as.group,
        )

    def _start_airflow(self, env: Mapping[str, str], chosen: Ports, secrets: Secrets, fork_server: ForkServer) -> None:
        health = airflow.Health(chosen.airflow)
        first, *others = (
            Component(
                name=name,
                command=tuple(airflow.command(self._state, name)),
                env=environment(env, name),
                log=self._state.log(name),
                cwd=self._state.airflow,
                ready=functools.partial(health.healthy, name),
                patience=airflow.PATIENCE[name],
                spawn=fork_server.spawn,
            )
            for name in airflow.COMMANDS
        )
        self._state.migrated.unlink(missing_ok=True)
        self._loop.launch(first)  # the slowest to import; it waits for the database by itself
        self._migrate(env, chosen, secrets, fork_server)
        self._state.migrated.touch()
        for component in others:
            self._loop.launch(component)

    def _migrate(self, env: Mapping[str, str], chosen: Ports, secrets: Secrets, fork_server: ForkServer) -> None:
        version = airflow.version()
        with databases.connect(chosen, secrets) as connection:
            migrated = databases.migrated_to(connection)
            if not migrated:
                databases.discard_half_made(connection, secrets)
        if migrated == version:
            return
        begun = time.monotonic()
        job = Component(
            name="airflow db migrate",
            command=tuple(airflow.migration()),
            env=environment(env, "migrate"),
            log=self._state.log("migrate"),
            cwd=self._state.airflow,
            spawn=fork_server.spawn,
        )
        self._loop.run(job)
        with databases.connect(chosen, secrets) as connection:
            databases.mark_migrated(connection, version)
        seconds = time.monotonic() - begun
        self._say(Event("ready", f"metadata database ready in {seconds:.1f} s", "migrate", seconds))

    # ---- saying ----

    def _note_process(self, name: str, process: ProcessId) -> None:
        self._run = self._run.with_component(name, process)
        self._run.save(self._state)

    def _say(self, event: Event) -> None:
        """To the process that started this, which may be gone, and to the supervisor's log."""
        with contextlib.suppress(OSError):
            os.write(1, event.to_line().encode())
        with contextlib.suppress(OSError), self._state.log("supervisor").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {event.text}\n")


def clean_up(state: State) -> tuple[int, list[psutil.Process]]:
    """End what a killed supervisor left on this state folder: how many there were, and which are still there.

    Only with the lock free or ours.
    """
    last = Run.load(state)
    recorded = [*last.components.values()] if last else []

    def find() -> list[psutil.Process]:
        return processes.survivors(state.root, recorded)

    return processes.end(find), find()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sluicegate.local.stack.supervisor")
    parser.add_argument("settings", type=Settings.parse)
    return Supervisor(parser.parse_args().settings).live()


if __name__ == "__main__":
    sys.exit(main())
