"""The command `sluicegate`. Each subcommand's module is imported when it is run, not for `--help`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["app", "main"]


@dataclass(frozen=True)
class _Entry:
    """A subcommand: where its function is, or the group of its own subcommands, and its line in the help.

    `whole`: what follows its first argument belongs to that, options too.
    """

    module: str
    function: str
    summary: str
    whole: bool = False


_COMMANDS = {
    "up": _Entry("stack", "up", "Start Postgres, Airflow and a local AWS that runs Spark, all on this machine."),
    "down": _Entry("stack", "down", "Stop what `sluicegate up` started."),
    "put": _Entry("stack", "put", "Put a file into the local S3, for a pipeline to load."),
    "exec": _Entry("stack", "execute", "Run a command, such as `airflow`, as one of the stack.", whole=True),
    "demo": _Entry("demo", "demo", "Run the sample pipelines on real data and show what was loaded."),
    "check": _Entry("check", "check", "Check pipeline files; every error with file:line:column."),
    "import": _Entry("migrate", "app", "Turn the files of another DAG factory into pipeline files."),
    "schema": _Entry("schema", "schema", "Print the JSON Schema of a pipeline file, for editors."),
    "graph": _Entry("graph", "graph", "Draw the pipelines with their steps and datasets: SVG, PNG, Mermaid."),
    "render": _Entry("render", "render", "Show the DAGs that pipelines become, as JSON or as plain Python."),
}


class _LazyGroup(TyperGroup):
    """Knows its commands by name and line; loads one when it is about to run."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.commands.update({name: TyperCommand(name, help=one.summary) for name, one in _COMMANDS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in _COMMANDS else command, rest


def _load(name: str) -> Any:
    entry = _COMMANDS[name]
    found = getattr(import_module(f"sluicegate.cli.{entry.module}"), entry.function)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    single = typer.Typer(add_completion=False)
    single.command(name, context_settings={"allow_interspersed_args": not entry.whole})(found)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _sluicegate() -> None:
    """Data pipelines that survive production: YAML in, Airflow DAGs out."""


def main() -> None:
    app()
