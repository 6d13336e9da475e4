"""How commands fail that do a step's work: a fault's words and remedy, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sluicegate.cli.places import WRONG_USE

__all__ = ["failing_faults"]

_UNREACHED = {"WAREHOUSE_UNREACHABLE", "WAREHOUSE_DENIED", "CONNECTION_MISSING", "NETWORK"}


@contextmanager
def failing_faults(*unreached: str) -> Iterator[None]:
    """Turns a fault into words on standard error and its exit code: 2 wrong use, 3 out of reach, else 1.

    :param unreached: further codes that say so
    """
    from sluicegate.cli.console import failing, print_error
    from sluicegate.faults import FaultError
    from sluicegate.faults.classify import classify

    with failing():
        try:
            yield
        except (typer.Exit, KeyboardInterrupt):
            raise
        except Exception as error:
            found = classify(error)
            if not isinstance(error, FaultError) and found.code in {"UNKNOWN", "CODE_BROKEN"}:
                raise
            if found.code == "WRONG_USE":
                print_error(found.detail, "")
                raise typer.Exit(WRONG_USE) from error
            known = found.fault
            print_error(f"{known.sentence[:-1]}: {found.detail}", known.remedy)
            raise typer.Exit(3 if found.code in _UNREACHED.union(unreached) else 1) from error
