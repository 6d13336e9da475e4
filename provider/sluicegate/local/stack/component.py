"""One supervised process: how it is started, when it counts as ready, when it is started again.

Only decides; `supervise` acts.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.local.stack import processes
from sluicegate.local.stack.state import ProcessId

# A component that dies more often than this within the period is not started again.
MAX_DEATHS = 5
MAX_DEATHS_AT_START = 2
PERIOD = 600.0
LOG_LIMIT = 20 * 1024 * 1024


@dataclass(frozen=True)
class Component:
    """`ready(since)`: whether the process that was started at `since` (seconds since 1970) does its work.

    `patience`: seconds it may take to end. `before`: what to do just before each start. `spawn`: starts it, with the
    arguments of `processes.spawn`.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    cwd: Path
    ready: Callable[[float], bool] = lambda since: False
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 5.0
    user: int | None = None
    group: int | None = None
    before: Callable[[], None] = lambda: None
    spawn: Callable[..., processes.ChildProcess] = processes.spawn


@dataclass
class Child:
    """A component's present process and its deaths."""

    component: Component
    process: processes.ChildProcess | None = None
    started: float = 0.0
    is_ready: bool = False
    deaths: list[float] = field(default_factory=list)
    again_at: float | None = None
    _log_offset: int = 0

    def start(self) -> ProcessId:
        component = self.component
        component.before()
        self.started = time.time()
        self.is_ready = False
        self.again_at = None
        self._log_offset = component.log.stat().st_size if component.log.exists() else 0
        self.process = component.spawn(
            component.command,
            env=component.env,
            log=component.log,
            cwd=component.cwd,
            user=component.user,
            group=component.group,
            death_signal=component.stop_signal,
        )
        return processes.identify(self.process.pid)

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def died(self, now: float, most: int = MAX_DEATHS) -> float | None:
        """Note a death. Seconds until the next start (1, 2, 4, ...), None after more than `most` deaths."""
        self.process = None
        self.is_ready = False
        self.deaths = [*(one for one in self.deaths if now - one < PERIOD), now]
        if len(self.deaths) > most:
            return None
        pause = float(2 ** (len(self.deaths) - 1))
        self.again_at = now + pause
        return pause

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.component.stop_signal)

    def kill(self) -> None:
        """With everything below it."""
        if self.process and self.process.poll() is None:
            below = processes.descendants(self.process.pid)
            self.process.kill()
            processes.kill(below)

    def last_words(self) -> str:
        """The end of what its present, or last, process has logged."""
        return tail(self.component.log, since=self._log_offset)


def describe_exit(code: int) -> str:
    """`exit status 1`, or `killed by SIGKILL`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def tail(log: Path, lines: int = 15, since: int = 0) -> str:
    """The last lines of a log, from byte `since` on at most."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def rotate(log: Path) -> None:
    """Begin a new file; the one before is kept as `.1`."""
    if log.exists() and log.stat().st_size:
        log.replace(log.with_name(log.name + ".1"))


def bound(log: Path) -> None:
    """Cut a log that has grown too long while its writer, who appends, has it open."""
    if not log.exists() or log.stat().st_size <= LOG_LIMIT:
        return
    with log.open("rb+") as file:
        file.seek(-LOG_LIMIT // 2, 2)
        log.with_name(log.name + ".1").write_bytes(file.read())
        file.truncate(0)
