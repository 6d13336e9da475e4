"""What can keep the embedded stack from running, and what to do about it. `exit_code` is the command's."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot do what was asked. `remedy` is one sentence for the person who reads it, or empty."""

    exit_code = 3  # could not reach what it needs

    def __init__(self, message: str, remedy: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class AlreadyRunning(StackError):  # noqa: N818 (it is a state, not an error)
    """A supervisor holds the state folder's lock."""

    exit_code = 1


class NotRunning(StackError):  # noqa: N818
    """Nothing holds the state folder's lock, but the caller needs a running stack."""


class WrongUse(StackError):  # noqa: N818
    """What was asked for cannot be meant: a folder that does not exist, a URI that is none."""

    exit_code = 2
