"""`sluicegate alerts test`: a message by each channel of a pipeline, and what came of it. Nothing is kept of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.connections import take_from_stack
from sluicegate.cli.dead_letters_options import DagsOption, Place, StateOption
from sluicegate.cli.home import airflow_home
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.alerts.message import Alert
    from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["try_channels"]

_COMMAND = "alerts test"


def try_channels(
    pipeline: Annotated[str, typer.Option("--pipeline", "-p", help="The pipeline whose channels are tried.")],
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    dags: DagsOption = Path("dags"),
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Send a test message by the channels of a pipeline, as an alert is sent, and say what came of each.

    Connections are those of this process (AIRFLOW_CONN_…) and of the embedded stack, else of this machine's Airflow.
    """
    from sluicegate.pipeline.diagnostics import hint
    from sluicegate.pipeline.keys.alerts import channels_of

    read = Place(dags=dags, state=state).where(_COMMAND, pipeline).read()[0]
    known = channels_of(read.alerts)
    if not known:
        wrong_use(_COMMAND, f"{pipeline} has no channels: `alerts:` says none, in its file or in defaults.yaml")
    for name in channel or ():
        if name not in known:
            wrong_use(_COMMAND, f"{pipeline} has no channel {name}{hint(name, known)}")
    take_from_stack(state)
    with airflow_home():
        from sluicegate.alerts.send import DEADLINE, deliver
        from sluicegate.factory.code_path import find_code

        find_code(read.root)
        meant = {name: known[name] for name in channel or known}
        found = deliver(_test_alert(read), meant, {}, time.monotonic() + DEADLINE)
    if as_json:
        typer.echo(json.dumps({one.channel: {"sent": one.is_sent, "reason": one.reason} for one in found}, indent=2))
    else:
        for one in found:
            typer.echo(f"{one.channel}: {'sent' if one.is_sent else f'not delivered: {one.reason}'}")
    if not all(one.is_sent for one in found):
        raise typer.Exit(1)


def _test_alert(pipeline: Pipeline) -> Alert:
    from sluicegate.alerts.message import TEST, Alert

    return Alert(pipeline.name, TEST, detail="Nothing has failed.", owner=pipeline.owner or "", occasion="test")
