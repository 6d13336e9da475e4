"""`sluicegate dead-letters list`, `show` and `export`: what there is. They change nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Chosen, PipelineOption, Place, Where, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.ledger.letters import Letter, Letters, LetterStatus, Selection

__all__ = ["export", "list_letters", "show"]

_PAGE = 1_000
_ID = 12
"""Characters of an id that are shown; they are enough to name it."""
_WIDE = 60
StatusOption = Annotated[
    list[str] | None, typer.Option("--status", help="open (the default), replayed, resolved, discarded, or all.")
]
LimitOption = Annotated[int, typer.Option(min=0, help="At most so many; 0 means all.")]


@with_options
def list_letters(
    *,
    pipeline: PipelineOption = None,
    chosen: Chosen,
    status: StatusOption = None,
    limit: LimitOption = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON array.")] = False,
    place: Place,
) -> None:
    """List dead letters, the oldest first: by the windows of their loads, then by the order of loading."""
    with failing_faults():
        statuses = _statuses("dead-letters list", status)
        meant = chosen.selection(pipeline, statuses)
        where = place.where("dead-letters list", pipeline, chosen.step)
        with _letters(where) as letters:
            found = _each(letters, meant, limit or None)
            if as_json:
                _print_array(found)
                return
            shown = _print_table(found)
            count = letters.count(meant) if letters is not None else 0
        if count > shown:
            typer.echo(f"{count - shown:,} more: --limit 0 shows all, --rule and the like fewer", err=True)


@with_options
def show(
    *,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.")],
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    place: Place,
) -> None:
    """Show all that is known of one dead letter: where it is from, what is wrong, what became of it."""
    from sluicegate.ledger.letters import LetterStatus
    from sluicegate.load.replay.mend import described, exported

    command = "dead-letters show"
    with failing_faults():
        where = place.where(command, pipeline)
        with _letters(where) as letters:
            meant = Chosen(ids=[identity]).selection(pipeline, tuple(LetterStatus))
            found = list(_each(letters, meant, 2))
        if not found:
            wrong_use(command, f"there is no dead letter {identity}")
        if len(found) > 1:
            wrong_use(command, f"several ids begin with {identity}: {found[0].id}, {found[1].id}")
        if as_json:
            typer.echo(exported(found[0]))
            return
        out = console()
        for name, value in described(found[0]):
            out.print(f"{name + ':':16} {value}")


@with_options
def export(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; standard output if it is not given.")
    ] = None,
    pipeline: PipelineOption = None,
    chosen: Chosen,
    status: StatusOption = None,
    limit: LimitOption = 0,
    place: Place,
) -> None:
    """Write dead letters to a file, one line of JSON each. Edit `record`, then: `dead-letters replay --from FILE`."""
    from sluicegate.load.replay.mend import exported

    command = "dead-letters export"
    with failing_faults():
        if output is not None and output.exists():
            wrong_use(command, f"{output} is there already: it may hold edited records; choose another name")
        meant = chosen.selection(pipeline, _statuses(command, status))
        where = place.where(command, pipeline, chosen.step)
        count = 0
        with _letters(where) as letters, _sink(output) as sink:
            for letter in _each(letters, meant, limit or None):
                sink.write(exported(letter) + "\n")
                count += 1
        if output is not None:
            typer.echo(f"{count:,} dead letters are in {output}; edit `record`, then: replay --from {output}")


@contextmanager
def _sink(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    with output.open("x", encoding="utf-8", newline="\n") as sink:
        yield sink


@contextmanager
def _letters(where: Where) -> Iterator[Letters | None]:
    from sluicegate.targets.postgres.ledgers import open_ledger

    with open_ledger(where.conninfo(), application=where.command) as ledger:
        yield None if ledger is None else ledger.letters


def _each(letters: Letters | None, meant: Selection, limit: int | None) -> Iterator[Letter]:
    """Page by page: however many there are, few are in memory."""
    after, rest = None, limit
    while letters is not None and rest != 0:
        page = letters.page(meant, after, _PAGE if rest is None else min(rest, _PAGE))
        if not page:
            return
        yield from page
        after = page[-1].place
        rest = None if rest is None else rest - len(page)


def _statuses(command: str, words: list[str] | None) -> tuple[LetterStatus, ...] | None:
    from sluicegate.ledger.letters import LetterStatus

    if words is None:
        return None
    if "all" in words:
        return tuple(LetterStatus)
    try:
        return tuple(LetterStatus(word) for word in words)
    except ValueError as error:
        wrong_use(command, f"{error} (expected open, replayed, resolved, discarded or all)")


def _print_array(found: Iterator[Letter]) -> None:
    from sluicegate.load.replay.mend import exported

    separator = "[\n"
    for letter in found:
        sys.stdout.write(separator + exported(letter))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _print_table(found: Iterator[Letter]) -> int:
    """A table on a terminal, tabs between values elsewhere; returns how many."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table("id", "status", "table", "source", "why", "tries", "first seen", box=None, pad_edge=False)
    count = 0
    for letter in found:
        count += 1
        row = (
            letter.id[:_ID], str(letter.status), letter.target, f"{letter.source}:{letter.line}",
            ", ".join(letter.rules), str(letter.attempts), letter.first_seen.strftime("%Y-%m-%d %H:%M"),
        )  # fmt: skip
        if out.is_terminal:
            table.add_row(*(Text(value if len(value) <= _WIDE else f"…{value[1 - _WIDE :]}") for value in row))
        else:
            typer.echo("\t".join(row))
    if out.is_terminal and count:
        out.print(table)
    if not count:
        typer.echo("No dead letter matches.", err=True)
    return count
