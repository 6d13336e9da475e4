"""Files of a source that cannot be loaded, each of them one dead letter, so that the others can (`skip_bad_files`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import DeadLetter
from sluicegate.records.reader import LocalPart, Reader

__all__ = ["FILE", "BadFiles"]

log = logging.getLogger("sluicegate.load")

FILE = "file"
"""The rule that a file breaks which is set aside as a whole."""
_OF_THE_FILE = frozenset({"SOURCE_UNREADABLE", "SCHEMA_MISMATCH"})


class BadFiles:
    """The files of one load that were set aside. Each counts as one record.

    :param allowed: whether the load goes on without them; else their faults are raised.
    """

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._found: list[tuple[LocalPart, str]] = []

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, uri: object) -> bool:
        return any(part.uri == uri for part, _ in self._found)

    @contextmanager
    def may_be(self, part: LocalPart) -> Iterator[None]:
        """Around what reads `part`: a fault that lies in the file sets it aside."""
        try:
            yield
        except FaultError as error:
            if not self._allowed or error.code not in _OF_THE_FILE:
                raise
            log.warning("set aside as a whole: %s: %s", part.uri, error.detail)
            self._found.append((part, error.detail))

    def opened(self, parts: Iterable[LocalPart], open_: Callable[[LocalPart], Reader]) -> list[Reader]:
        """The readers of those `parts` that can be opened."""
        readers = []
        for part in parts:
            with self.may_be(part):
                readers.append(open_(part))
        return readers

    def fitting(self, readers: Iterable[Reader], plan: Callable[[Reader], object]) -> list[Reader]:
        """Those of `readers` whose columns `plan` takes."""
        if not self._allowed:
            return list(readers)
        fitting = []
        for reader in readers:
            with self.may_be(reader.part):
                plan(reader)
                fitting.append(reader)
        return fitting

    def reasons(self) -> dict[str, int]:
        return {FILE: len(self)} if self else {}

    def letters(self) -> Iterator[DeadLetter]:
        """At line 0, without a record: the file is where it was."""
        for part, why in self._found:
            failure = {"rule": FILE, "column": None, "value": None, "why": why}
            yield DeadLetter(part.uri, part.version, 0, "", (failure,), None, complete=False)
