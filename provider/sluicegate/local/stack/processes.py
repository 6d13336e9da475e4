"""Processes of the stack: they die with the supervisor, are found again, and end with all they made.

Linux gives the guarantees (subreaper, parent-death signal). Elsewhere the same calls do what is possible:
nothing is left behind by an orderly stop, and the next `up` or `down` cleans up after a killed supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from sluicegate.local.stack.state import ProcessId

STATE_MARK = "SLUICEGATE_STATE"
COMPONENT_MARK = "SLUICEGATE_COMPONENT"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """Make processes whose parent dies this process's children from now on, not init's (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def adopts_orphans() -> bool:
    """Whether there is something like `adopt_orphans` here."""
    return _libc is not None


def die_with_parent(parent: int, death_signal: int) -> None:
    """Have this process get the signal when `parent` dies; it ends where that has happened already."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)


class ChildProcess(Protocol):
    """A child of this process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class Adopted:
    """A child that another process has started for this one, its subreaper."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit status as `Popen` has it, None while it runs."""
        if self._code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    user: int | None = None,
    group: int | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to `log`.

    It gets `death_signal` when the *thread* that calls this ends, however that comes about: call it from a
    main thread that has no other.
    """
    parent = os.getpid()

    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            preexec_fn=lambda: die_with_parent(parent, int(death_signal)),
            pass_fds=pass_fds,
        )


def identify(pid: int) -> ProcessId:
    """Raises `psutil.NoSuchProcess`."""
    return ProcessId(pid, psutil.Process(pid).create_time())


def alive(process: ProcessId) -> bool:
    """Whether that very process still runs (a zombie does not)."""
    found = _process(process)
    return found is not None and found.is_running() and found.status() != psutil.STATUS_ZOMBIE


def _process(process: ProcessId) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        return found if abs(found.create_time() - process.started) < 0.05 else None
    except psutil.Error:
        return None


def reap(known: Iterable[ChildProcess]) -> None:
    """Collect every child that has ended: those of `known` through their `poll`, orphans directly."""
    popens = {one.pid: one for one in known}
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        if ended.si_pid in popens:
            popens[ended.si_pid].poll()
        else:
            os.waitpid(ended.si_pid, os.WNOHANG)


def descendants(of: int | None = None) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = psutil.Process(of).children(recursive=True)
    except psutil.Error:
        return []
    return children


def orphans(known: Iterable[ChildProcess]) -> list[psutil.Process]:
    """Children of this process that it did not start itself, and everything below them."""
    started = {one.pid for one in known}
    adopted = [child for child in psutil.Process().children() if child.pid not in started]
    return [*adopted, *(below for child in adopted for below in descendants(child.pid))]


def kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_descendants(known: Iterable[ChildProcess], patience: float = 10) -> int:
    """SIGKILL everything below this process until nothing is left; how many were left after `patience` s."""
    until = time.monotonic() + patience
    while True:
        reap(known)
        left = [one for one in descendants() if not _is_zombie(one)]
        if not left or time.monotonic() >= until:
            return len(left)
        kill(left)
        time.sleep(0.05)


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def survivors(state: Path, recorded: Iterable[ProcessId] = ()) -> list[psutil.Process]:
    """Processes of a stack on this state folder whose supervisor is gone, with all their descendants.

    Found by the mark in their environment, by what was written down about them, and, for Postgres, by where
    they work. Never this process or one it runs under.
    """
    data = str(state / "postgres" / "data")
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if _environment(process).get(STATE_MARK) == str(state) or _is_postgres_of(process, data):
            found[process.pid] = process
    for one in recorded:
        if (process_or_none := _process(one)) is not None:
            found[one.pid] = process_or_none
    for process in list(found.values()):
        found.update({below.pid: below for below in descendants(process.pid)})
    here = psutil.Process()
    ours = {here.pid, *(parent.pid for parent in here.parents())}
    return [process for pid, process in found.items() if pid not in ours and not _is_zombie(process)]


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def _is_postgres_of(process: psutil.Process, data: str) -> bool:
    try:
        return bool(process.name() == "postgres" and process.cwd() == data)
    except (psutil.Error, OSError):
        return False


def end(find: Callable[[], list[psutil.Process]], patience: float = 5) -> int:
    """Terminate what `find` finds, kill what is left after `patience` seconds; how many there were.

    Postgres takes SIGTERM as "when the last client has gone": it gets SIGINT, which ends it safely at once.
    """
    first = find()
    for process in first:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    psutil.wait_procs(first, timeout=patience)
    until = time.monotonic() + patience
    while (left := find()) and time.monotonic() < until:
        kill(left)
        psutil.wait_procs(left, timeout=1)
    return len(first)
