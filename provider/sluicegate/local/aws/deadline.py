"""The time limit of a step's command: `timeout [options] DURATION` before it, by the grammar of GNU coreutils."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.local.aws.errors import StepRejectedError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Deadline:
    """GNU timeout's arguments: seconds, and the signals' order."""

    seconds: float
    signal: str = "TERM"
    kill_after: float = 0


def split_deadline(args: Sequence[str]) -> tuple[Deadline | None, list[str]]:
    """Takes a leading `timeout [options] DURATION` off (GNU coreutils' own grammar)."""
    if not args or args[0] not in ("timeout", "/usr/bin/timeout"):
        return None, list(args)
    name, kill_after = "TERM", 0.0
    rest = list(args[1:])
    while rest and rest[0].startswith("-"):
        option, equals, value = rest.pop(0).partition("=")
        if option in ("--foreground", "--preserve-status", "-v", "--verbose", "-p", "-f"):
            continue
        if option not in ("-s", "--signal", "-k", "--kill-after") or not (equals or rest):
            raise StepRejectedError(f"timeout: unrecognized option {option!r}")
        value = value if equals else rest.pop(0)
        if option in ("-s", "--signal"):
            name = value
        else:
            kill_after = _duration(value)
    if not rest:
        raise StepRejectedError("timeout: missing operand")
    return Deadline(_duration(rest[0]), name, kill_after), rest[1:]


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", text)
    if not found:
        raise StepRejectedError(f"timeout: invalid time interval {text!r}")
    return float(found[1]) * _UNITS[found[2]]
