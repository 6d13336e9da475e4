"""The files and folders that a command is given, and the dags root that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

__all__ = ["WRONG_USE", "existing", "root_of", "shown", "wrong_use"]

WRONG_USE = 2


def existing(paths: Sequence[Path] | None, root: Path | None, command: str) -> list[Path]:
    """The paths, absolute; `dags` (else this folder) if there are none. Ends the command when one does not exist."""
    dags = Path("dags")
    given = [path.absolute() for path in paths or [dags if dags.is_dir() else Path()]]
    for path in [*given, *([root] if root else [])]:
        if not path.exists():
            wrong_use(command, f"there is no {shown(path)}")
    if root is not None and not root.is_dir():
        wrong_use(command, f"the root {shown(root)} is not a folder")
    return given


def wrong_use(command: str, words: str) -> NoReturn:
    """Says what is wrong with the call, and ends the command.

    :raises typer.Exit: always
    """
    typer.echo(f"sluicegate {command}: {words}", err=True)
    raise typer.Exit(WRONG_USE)


def root_of(path: Path) -> Path:
    """The dags root that `path` belongs to: the nearest folder of that name, else its own folder."""
    folder = path if path.is_dir() else path.parent
    return next((above for above in (folder, *folder.parents) if above.name == "dags"), folder)


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
