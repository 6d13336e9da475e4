"""Commands whose modules are imported when they run: not for `--help`, and not for another command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["Entry", "completed", "lazy_group"]


@dataclass(frozen=True)
class Entry:
    """A command: where its function is, or the group of its own subcommands, and its line in the help.

    `whole`: what follows its first argument belongs to that, options too. `bare`: options that may be given without a
    value, and the value that they then have.
    """

    module: str
    function: str
    summary: str
    whole: bool = False
    bare: Mapping[str, str] = field(default_factory=dict)


def lazy_group(entries: Mapping[str, Entry]) -> type[TyperGroup]:
    """The class of a group that knows these commands by name and line, and loads one when it is about to run."""

    class LazyGroup(TyperGroup):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.commands.update({name: TyperCommand(name, help=one.summary) for name, one in entries.items()})

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            if not name or name not in entries:
                return name, command, rest
            return name, _load(name, entries[name]), completed(rest, entries[name].bare)

    return LazyGroup


def completed(args: list[str], bare: Mapping[str, str]) -> list[str]:
    """The arguments with a value for each option that was given without one."""
    following = [*args[1:], "-"]
    return [
        f"{word}={bare[word]}" if word in bare and after.startswith("-") else word
        for word, after in zip(args, following, strict=False)
    ]


def _load(name: str, entry: Entry) -> Any:
    found = getattr(import_module(f"sluicegate.cli.{entry.module}"), entry.function)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    single = typer.Typer(add_completion=False)
    single.command(name, context_settings={"allow_interspersed_args": not entry.whole})(found)
    return typer.main.get_command(single)
