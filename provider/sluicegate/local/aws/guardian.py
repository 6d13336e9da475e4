"""Runs one command and outlives nothing: `python -I -S guardian.py SECONDS SIGNAL KILL_AFTER COMMAND...`

Its standard input is a pipe that its parent holds open. When the parent closes it or dies in any way, when
the deadline passes (0: none; exit status 124 as GNU timeout's), or when the command ends, every process that
came out of the command is killed. Of the standard library alone: it must start fast and import no package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
STOPPED = 143
TIMED_OUT = 124
KILLED = 137


def main(argv: list[str]) -> int:
    """Exit status: the command's own (128 + n if signal n ended it), 124, 137, or 143 if the parent left."""
    deadline, signal_name, kill_after, command = float(argv[1]), argv[2], float(argv[3]), argv[4:]
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of the command become our children: none gets away
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wakened)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # each only wakes the loop, which looks
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    try:
        return _watch(child, wake, deadline, _signal_number(signal_name), kill_after)
    finally:
        _kill_descendants()


def _watch(child: subprocess.Popen[bytes], wake: int, deadline: float, number: int, kill_after: float) -> int:
    began = time.monotonic()
    limit = began + deadline if deadline else None
    timed_out = False
    with selectors.DefaultSelector() as events:
        events.register(wake, selectors.EVENT_READ)
        events.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while True:
            status = child.poll()
            if status is not None:
                return TIMED_OUT if timed_out else status if status >= 0 else 128 - status
            ready = events.select(None if limit is None else max(0, limit - time.monotonic()))
            for key, _ in ready:
                if key.fd == wake:
                    if any(byte in (signal.SIGTERM, signal.SIGINT) for byte in os.read(wake, 512)):
                        return STOPPED
                elif not os.read(key.fd, 512):
                    return STOPPED
            if limit is not None and time.monotonic() >= limit:
                if timed_out:
                    return KILLED
                timed_out = True
                limit = time.monotonic() + kill_after if kill_after else None
                for pid in _descendants():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)


def _kill_descendants() -> None:
    while pids := _descendants():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _descendants() -> list[int]:
    """All processes below this one; without /proc, its process group."""
    if not _LINUX:
        listing = subprocess.run(["ps", "-axo", "pid=,pgid=,stat="], capture_output=True, text=True, check=False)
        rows = [line.split() for line in listing.stdout.splitlines()]
        group = str(os.getpgrp())
        return [
            int(row[0]) for row in rows if row[1] == group and int(row[0]) != os.getpid() and not row[2].startswith("Z")
        ]
    parents: dict[int, list[int]] = {}
    for pid, (parent, _) in _processes().items():
        parents.setdefault(parent, []).append(pid)
    found, queue = [], [os.getpid()]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def kill_session(session: int) -> None:
    """Kills what a guardian left that was itself killed: on Linux, all of its session."""
    while left := [pid for pid, (_, its) in _processes().items() if its == session]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _processes() -> dict[int, tuple[int, int]]:
    """Process id -> (parent, session), zombies that have another parent left out."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat") if _LINUX else ():
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything; what counts comes after it.
            state, parent, _, session = entry.read_text(errors="replace").rpartition(")")[2].split()[:4]
            if state != "Z" or int(parent) == os.getpid():
                found[int(entry.parent.name)] = int(parent), int(session)
    return found


def _signal_number(name: str) -> int:
    if name.isdecimal():
        return int(name)
    return signal.Signals["SIG" + name.upper().removeprefix("SIG")].value


def _die_with_parent() -> None:
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
