"""The supervisor's loop: waits for components, starts them again, ends them. Knows nothing of what they are.

One thread, one loop: a component gets its parent-death signal from the thread that started it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sluicegate.local.stack import processes
from sluicegate.local.stack.component import MAX_DEATHS, MAX_DEATHS_AT_START, Child, Component, bound, describe_exit
from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.events import Event, Progress
from sluicegate.local.stack.state import ProcessId

TICK = 0.15
_HOLDER = 0


class StopRequested(Exception):  # noqa: N818 (no error)
    """A signal, or the end of the holder, while something was waited for."""


class Loop:
    """`holder`: whether the end of standard input means that the process that asked for the stack is gone.

    `started` is called with every process of a component.
    """

    def __init__(self, logs: Path, say: Progress, started: Callable[[str, ProcessId], None], holder: bool) -> None:
        self._logs = logs
        self._say = say
        self._started = started
        self._holder = holder
        self._children: dict[str, Child] = {}
        self._jobs: list[Child] = []
        self._stops = 0
        self._is_up = False
        self._bounded_at = time.monotonic()

    def ask_to_stop(self) -> None:
        """Safe in a signal handler. Asked again while it stops, it waits for nothing more."""
        self._stops += 1

    # ---- starting ----

    def launch(self, component: Component) -> None:
        self._say(Event("starting", f"starting {component.name}", component.name))
        child = self._children.setdefault(component.name, Child(component))
        self._started(component.name, child.start())

    def run(self, job: Component, timeout: float = 180) -> None:
        """Run something to its end, watching the components. Raises `StackError` with its last words."""
        child = Child(job)
        child.start()
        self._jobs.append(child)
        self._until(lambda: not child.runs, timeout, f"{job.name} has not ended", [child])
        self._jobs.remove(child)
        code = child.exit_code
        if code:
            raise StackError(
                f"{job.name} failed ({describe_exit(code)}):\n{child.last_words()}",
                f"The whole log: {job.log}",
            )

    def wait_for(self, name: str, timeout: float) -> None:
        """Until that component is ready. Raises as `tick`; after `timeout` s a `StackError` with its log."""
        child = self._children[name]
        self._until(lambda: child.is_ready, timeout, f"{name} is not up", [child])

    def wait_for_all(self, timeout: float) -> None:
        """Until every component is ready. Raises as `wait_for`."""
        children = list(self._children.values())
        self._until(lambda: all(child.is_ready for child in children), timeout, "The stack is not up", children)
        self._is_up = True

    def _until(self, done: Callable[[], bool], timeout: float, otherwise: str, children: Sequence[Child]) -> None:
        until = time.monotonic() + timeout
        while not done():
            self.tick()
            if time.monotonic() > until:
                late = [child for child in children if not child.is_ready]
                names = ", ".join(child.component.name for child in late)
                tails = "\n".join(f"--- {child.component.log}\n{child.last_words()}" for child in late)
                raise StackError(
                    f"{otherwise} after {timeout:.0f} s; it waited for {names}.\n{tails}",
                    "On a slow or busy machine another try may do; what was made so far is kept.",
                )

    # ---- watching ----

    def tick(self) -> None:
        """Look at everything once. Raises `StopRequested`, or `StackError` if a component died too often."""
        self._sleep(TICK)
        if self._stops:
            raise StopRequested
        processes.reap(self._popens())
        for child in self._children.values():
            self._look_at(child)
        if time.monotonic() - self._bounded_at > 60:
            self._bounded_at = time.monotonic()
            for log in self._logs.glob("*.log"):
                bound(log)

    def _sleep(self, seconds: float) -> None:
        """Until `seconds` are over, or the holder's end of the pipe is closed."""
        if not self._holder:
            time.sleep(seconds)
            return
        readable, _, _ = select.select([_HOLDER], [], [], seconds)
        if readable and not os.read(_HOLDER, 1024):
            self._holder = False
            self._stops += 1

    def _look_at(self, child: Child) -> None:
        name = child.component.name
        if child.process is not None and (code := child.exit_code) is not None:
            self._after_death(child, code)
        elif child.process is None and child.again_at is not None and time.monotonic() >= child.again_at:
            self.launch(child.component)
        elif child.process is not None and not child.is_ready and child.component.ready(child.started):
            child.is_ready = True
            seconds = time.time() - child.started
            self._say(Event("ready", f"{name} ready in {seconds:.1f} s", name, seconds))

    def _after_death(self, child: Child, code: int) -> None:
        component = child.component
        processes.kill(processes.orphans(self._popens()))  # what it has left to us would work against its successor
        pause = child.died(time.monotonic(), MAX_DEATHS if self._is_up else MAX_DEATHS_AT_START)
        last_words = child.last_words()
        if pause is None:
            raise StackError(
                f"{component.name} has died {len(child.deaths)} times, now with {describe_exit(code)}. "
                f"Its log ends:\n{last_words}",
                f"The whole log: {component.log}",
            )
        text = f"{component.name} died ({describe_exit(code)}); starting it again in {pause:.0f} s"
        self._say(Event("died", f"{text}. Its log ends:\n{last_words}" if last_words else f"{text}.", component.name))

    def _popens(self) -> list[processes.ChildProcess]:
        return [child.process for child in (*self._children.values(), *self._jobs) if child.process is not None]

    # ---- stopping ----

    def stop(self, order: Sequence[Sequence[str]]) -> None:
        """Group after group, then everything that is left."""
        asked = self._stops
        for job in self._jobs:
            job.kill()
        for names in order:
            self._stop_together([self._children[name] for name in names if name in self._children], asked)
        left = processes.kill_descendants(self._popens())
        if left:
            self._say(Event("note", f"{left} processes could not be ended"))

    def _stop_together(self, children: Sequence[Child], asked: int) -> None:
        """Ask them to end; kill each when its patience is over, or at once when asked to stop again."""
        for child in children:
            child.stop()
        begun = time.monotonic()
        while running := [child for child in children if child.runs]:
            for child in running:
                if time.monotonic() - begun > child.component.patience or self._stops > asked:
                    child.kill()
            time.sleep(0.05)
            processes.reap(self._popens())


def environment(base: Mapping[str, str], component: str) -> dict[str, str]:
    """With the mark by which the component's processes are recognised."""
    return {**base, processes.COMPONENT_MARK: component}
