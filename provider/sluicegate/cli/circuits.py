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
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    import psycopg

    from sluicegate.circuits.store import Known

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True)

PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", "-p", help="Those in the journal of this pipeline; else of all pipelines.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_THERE = "SELECT to_regclass('sluicegate.circuits') IS NOT NULL"
_COLUMNS = ("circuit", "state", "until", "fault", "pipelines")


@app.callback()
def _circuits() -> None:
    """List the circuits of connections and hosts that failed; close one by hand."""


@app.command("list")
@with_options
def list_circuits(*, pipeline: PipelineOption = None, as_json: JsonOption = False, place: Place) -> None:
    """List all circuits that ever had a fault, the open ones first."""
    from sluicegate.circuits.store import known_circuits

    command = "circuits list"
    with failing_faults():
        found = [
            each
            for conninfo in _journals(command, place, pipeline)
            for each in _with(command, conninfo, known_circuits) or ()
        ]
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
    from sluicegate.circuits.store import reset
    from sluicegate.pipeline.diagnostics import hint

    command = "circuits reset"
    with failing_faults():
        from sluicegate.circuits.store import known_circuits

        journals = _journals(command, place, pipeline)
        changes = [_with(command, conninfo, lambda connection: reset(connection, name)) for conninfo in journals]
        done = [change for change in changes if change is not None]
        if not done:
            known = [
                each.circuit.name for conninfo in journals for each in _with(command, conninfo, known_circuits) or ()
            ]
            wrong_use(command, f"there is no circuit {name}{hint(name, known)}")
        if as_json:
            typer.echo(json.dumps({"circuit": name, "before": [change.before.state for change in done]}))
        else:
            typer.echo(f"{name} is closed; it was {', '.join(change.before.state for change in done)}.")


def _journals(command: str, place: Place, pipeline: str | None) -> list[str]:
    """Libpq's words for each database with circuits. They hold passwords: never to be shown."""
    from sluicegate.graph.journal import journal_of
    from sluicegate.pipeline.tree import read_tree

    where = place.where(command, pipeline)
    if place.url_env is not None or place.connection is not None:
        return [where.conninfo()]
    if pipeline is not None:
        meant = [where.read()[0]]
    elif not place.dags.is_dir():
        wrong_use(command, f"there is no folder {place.dags}: say --dags, --connection ID or --url-env NAME")
    else:
        meant = list(read_tree(place.dags).readable.values())
    journals = dict.fromkeys(journal for each in meant if (journal := journal_of(each)) is not None)
    if not journals:
        whose = pipeline or f"the pipelines below {place.dags}"
        wrong_use(command, f"{whose} load into no table, and `connections.ledger` is not said: no circuits are kept")
    return [where.of_connection(journal) for journal in journals]


def _with(command: str, conninfo: str, work: Any) -> Any:
    """What `work` returns, done in a transaction; None where no circuit was ever kept."""
    with _connected(command, conninfo) as connection:
        there = connection.execute(_THERE).fetchone()
        return work(connection) if there and there[0] else None


@contextmanager
def _connected(command: str, conninfo: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    application = f"sluicegate {command}"
    with psycopg.connect(make_conninfo(conninfo, connect_timeout=10, application_name=application)) as connection:
        yield connection


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
    return circuit.name, state, _time(until) or "", fault, ", ".join(known.pipelines)


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
