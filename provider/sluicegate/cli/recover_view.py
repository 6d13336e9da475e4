"""How far a plan is: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sluicegate.recovery.progress import OnChange, View

__all__ = ["shown"]

_MOST_WAVES = 12
"""A table that is higher than the terminal would hide the wave that counts."""
_COLUMNS = ("wave", "waiting", "running", "done", "failed", "left alone", "elapsed")


@contextmanager
def shown(out: Console) -> Iterator[OnChange]:
    """A function to be called with each view, as long as the context is open."""
    begun = time.monotonic()
    if not out.is_terminal:
        yield _Lines(out, begun)
        return
    from rich.live import Live

    waves: dict[int, View] = {}
    with Live(_table(waves, begun), console=out, refresh_per_second=4) as live:

        def show(view: View) -> None:
            waves[view.wave] = view
            live.update(_table(waves, begun))

        yield show


class _Lines:
    def __init__(self, out: Console, begun: float) -> None:
        self._out = out
        self._begun = begun
        self._last: View | None = None

    def __call__(self, view: View) -> None:
        if view == self._last:
            return
        self._last = view
        self._out.print(
            f"wave {view.wave + 1} of {view.waves}: {view.waiting} runs waiting, {view.running} running, "
            f"{view.done} done, {view.failed} failed, {view.left_alone} left alone ({_elapsed(self._begun)})"
        )
        self._out.file.flush()


def _table(waves: dict[int, View], begun: float) -> Table:
    from rich.table import Table

    table = Table(*_COLUMNS, caption="Ctrl-C stops it; what was reset goes on, and the plan can be resumed.")
    for place, view in list(waves.items())[-_MOST_WAVES:]:
        numbers = map(str, (view.waiting, view.running, view.done, view.failed, view.left_alone))
        is_last = place == max(waves)
        style = "red" if view.failed else "green" if not (view.waiting or view.running) else ""
        name = f"{view.wave + 1} of {view.waves}"
        table.add_row(name, *numbers, _elapsed(begun) if is_last else "", style=style)
    return table


def _elapsed(begun: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    return f"{minutes}:{seconds:02}"
