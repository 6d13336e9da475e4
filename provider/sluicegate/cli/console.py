"""How commands speak: a live status on a terminal, plain lines elsewhere, errors with their remedy."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from sluicegate.local.stack.events import Event, Progress


def console(*, err: bool = False) -> Console:
    """For standard output, or with `err` standard error. The only place that makes one.

    What is printed is text and no markup: `[red]` and `:boom:` in it stay what they are, and `rich.text.Text` gives it
    colour. Off a terminal lines are not wrapped, because a program may read them.
    """
    from rich.console import Console

    terminal = (sys.stderr if err else sys.stdout).isatty()
    return Console(
        stderr=err,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
        width=None if terminal else 140,
    )


def stop_on_sigterm() -> None:
    """Treat SIGTERM as Ctrl-C from now on: what was started is stopped in order, not only this process."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def failing() -> Iterator[None]:
    """Turns an error of the stack or the API into words on standard error and its exit code, Ctrl-C into 130."""
    from sluicegate.api.errors import ApiError
    from sluicegate.local.stack.errors import StackError

    try:
        yield
    except (StackError, ApiError) as error:
        print_error(error.message, error.remedy)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def print_error(message: str, remedy: str) -> None:
    from rich.text import Text

    error = console(err=True)
    error.print(Text("error: ", style="bold red") + Text(message))
    if remedy:
        error.print(Text("  -> ", style="bold") + Text(remedy))


def progress(out: Console) -> Progress:
    """Shows what the supervisor says: a line for each thing done, on a terminal also what it waits for."""
    return _Status(out) if out.is_terminal else _Lines(out)


_MARKS = {"ready": ("✓ ", "green"), "healthy": ("✓ ", "green"), "died": ("! ", "yellow"), "note": ("", "")}


class _Lines:
    """Plain lines, each written out at once."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        if event.kind not in ("starting", "failed"):
            self._out.print(event.text)
            self._out.file.flush()


class _Status:
    """A spinner that names the components that are not ready yet; finished ones move above it."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._status = out.status(self._text("starting"))
        self._pending: dict[str, None] = {}

    def __call__(self, event: Event) -> None:
        if event.kind == "starting":
            self._pending[event.component] = None
        self._pending.pop(event.component if event.kind == "ready" else "", None)
        if event.kind in ("healthy", "failed", "stopped"):
            self._pending.clear()
            self._status.stop()
        elif event.kind == "stopping":
            self._status.update(self._text("stopping"))
            self._status.start()
        elif self._pending:
            self._status.update(self._text(f"waiting for {', '.join(self._pending)}"))
            self._status.start()
        if event.kind in _MARKS:
            self._out.print(self._text(event.text, _MARKS[event.kind]))

    @staticmethod
    def _text(words: str, mark: tuple[str, str] = ("", "")) -> Text:
        """A spinner would read a plain string as markup."""
        from rich.text import Text

        return Text.assemble(mark, words)
