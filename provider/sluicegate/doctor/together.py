"""Looks side by side: what does not answer holds up no other, and none for longer than its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sluicegate.doctor.finding import Finding, Look, looked, unanswered

__all__ = ["PATIENCE", "together"]

PATIENCE = 10.0
"""Seconds that one look may take."""
_SAY_AFTER = 2.0


@dataclass
class _Running:
    check: str
    patience: float
    found: list[Finding] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, look: Look) -> None:
        self.found.extend(looked(self.check, look))
        self.done.set()


def together(
    looks: Iterable[tuple[str, Look]],
    *,
    patience: float | None = None,
    waiting: Callable[[Sequence[str]], None] = lambda checks: None,
) -> Iterator[Finding]:
    """What the looks find, in their order. One that is not done in time is a finding, whatever it finds later.

    :param patience: seconds, `PATIENCE` unless given
    :param waiting: is called every two seconds with what has not answered yet
    """
    longest = PATIENCE if patience is None else patience
    running = []
    for check, look in looks:
        one = _Running(check, longest)
        # Daemons: a call that hangs must not hold up the end of the command.
        threading.Thread(target=one.run, args=(look,), name=check, daemon=True).start()
        running.append(one)
    began, said = time.monotonic(), 0
    for one in running:
        while not one.done.wait(_SAY_AFTER) and time.monotonic() - began < longest:
            if (passed := int((time.monotonic() - began) // _SAY_AFTER)) > said:
                said = passed
                waiting([each.check for each in running if not each.done.is_set()])
        yield from one.found if one.done.is_set() else [unanswered(one.check, longest)]
