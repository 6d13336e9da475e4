"""`sluicegate demo`: the sample pipelines through a real Airflow, Spark and Postgres, and what came of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    dags: Annotated[Path, typer.Option(help="Folder with the sample pipelines.")] = Path("dags"),
    state: Annotated[Path, typer.Option(help="State folder.")] = Path(".sluicegate"),
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Repeat only this day of an earlier demo.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do not ask the ledger: merge every file again.")] = False,
    timeout: Annotated[int, typer.Option(help="Seconds that all runs may take together.")] = 900,
) -> None:
    """Run the sample pipelines on real data and show what was loaded and what was set aside.

    Done before on the same state, the runs are cleared and run again, or with --day those of one day. On a
    terminal everything stays up until Ctrl-C; otherwise it is stopped at the end.
    """
    from sluicegate.cli.console import console, failing, progress, stop_on_sigterm
    from sluicegate.local.demo.session import Demo

    stop_on_sigterm()
    out = console()
    with failing():
        session = Demo(dags=dags, state=state, timeout=timeout, console=out, day=day.date() if day else None)
        samples = session.samples(datetime.now(UTC))
        show = progress(out)
        with session.stack(show) as (stack, ours):
            well = session.run(stack, samples, force=force)
            if out.is_terminal and ours:
                out.print("Everything stays up until Ctrl-C.")
                with suppress(KeyboardInterrupt):
                    stack.wait(show)
    raise typer.Exit(0 if well else 1)
