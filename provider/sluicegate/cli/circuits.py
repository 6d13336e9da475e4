"""`sluicegate circuits`: what tasks wait for, because it failed several times in a row."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Place, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.journal_options import journal_conninfo
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    import psycopg

    from sluicegate.circuits.store import Known

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True)

PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", "-p", help="Those in the journal of this pipeline; else in that of all.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_THERE = "SELECT to_regclass('sluicegate.circuits') IS NOT NULL"
_PIPELINES = 5
_COLUMNS = ("circuit", "state", "until", "fault", "pipelines")


@app.callback()
def _circuits() -> None:
    """List the circuits of connections and hosts that failed; close one by hand."""


@app.command("list")
@with_options
def list_circuits(*, pipeline: PipelineOption = None, as_json: JsonOption = False, place: Place) -> None:
    """List all circuits that ever had a fault, the open ones first."""
    from sluicegate.circuits.store import known_circuits

    with failing_faults(), _journal("circuits list", place, pipeline) as journal:
        found = known_circuits(journal) if journal is not None else []
        if as_json:
            typer.echo(json.dumps([_as_dict(each) for each in found], indent=2))
        elif not found:
            typer.echo("No circuit: nothing that tasks need has failed yet.")
        else:
            _print(found)


@app.command("reset")
@with_options
def reset_circuit(
    *,
    name: Annotated[str, typer.Argument(help="As `circuits list` shows it: connection:warehouse.")],
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
    place: Place,
) -> None:
    """Close a circuit: what waits for it goes on within a minute."""
    from sluicegate.circuits.store import known_circuits, reset
    from sluicegate.pipeline.diagnostics import hint

    command = "circuits reset"
    with failing_faults(), _journal(command, place, pipeline) as journal:
        change = reset(journal, name) if journal is not None else None
        if change is None:
            known = [each.circuit.name for each in known_circuits(journal)] if journal is not None else []
            wrong_use(command, f"there is no circuit {name}{hint(name, known)}")
        if as_json:
            typer.echo(json.dumps({"circuit": name, "before": change.before.state}))
        else:
            typer.echo(f"{name} is closed; it was {change.before.state}.")


@contextmanager
def _journal(command: str, place: Place, pipeline: str | None) -> Iterator[psycopg.Connection[tuple[Any, ...]] | None]:
    """The journal in one transaction; None where no circuit was ever kept."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    conninfo = journal_conninfo(command, place, pipeline, without="no circuits are kept")
    application = f"sluicegate {command}"
    with psycopg.connect(make_conninfo(conninfo, connect_timeout=10, application_name=application)) as connection:
        there = connection.execute(_THERE).fetchone()
        yield connection if there and there[0] else None


def _print(found: list[Known]) -> None:
    """A table on a terminal, tabs between values elsewhere."""
    rows = [_row(each) for each in found]
    if not sys.stdout.isatty():
        for row in (_COLUMNS, *rows):
            typer.echo("\t".join(row))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def _row(known: Known) -> tuple[str, ...]:
    circuit = known.circuit
    state = f"closed ({circuit.failures} faults)" if circuit.failures else circuit.state.replace("_", " ")
    until = circuit.probe_until if circuit.state == "half_open" else circuit.until
    fault = " ".join(part for part in (circuit.last_fault, (circuit.last_detail or "")[:80]) if part)
    more = f" and {len(known.pipelines) - _PIPELINES} more" if len(known.pipelines) > _PIPELINES else ""
    return circuit.name, state, _time(until) or "", fault, ", ".join(known.pipelines[:_PIPELINES]) + more


def _as_dict(known: Known) -> dict[str, object]:
    each = known.circuit
    moments = {name: _time(getattr(each, name)) for name in ("opened_at", "until", "probe_until")}
    return {
        "circuit": each.name, "state": each.state, "failures": each.failures, **moments, "probe_by": each.probe_by,
        "fault": each.last_fault, "detail": each.last_detail, "pipelines": list(known.pipelines),
        "changed_at": _time(known.changed_at),
    }  # fmt: skip


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone().isoformat(timespec="seconds")
