"""A prepared CSV file by the position of its records."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Records"]

_BUFFER = 4096
"""Records that are sent in one piece of COPY's stream."""


class Records:
    """The records of a CSV file, which is mapped and not held in memory."""

    def __init__(self, path: Path) -> None:
        self._ends = array("Q", [0])
        at = quotes = 0
        with path.open("rb") as file:
            for line in file:
                at += len(line)
                quotes += line.count(b'"')
                if quotes % 2 == 0:  # else a value that is quoted goes on in the next line
                    self._ends.append(at)
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def numbered(self, low: int, high: int) -> Iterator[bytes]:
        """The records from `low` to before `high`, each with its position as its first value."""
        for start in range(low, high, _BUFFER):
            yield b"".join(
                b"%d,%b" % (number, self._bytes[self._ends[number] : self._ends[number + 1]])
                for number in range(start, min(start + _BUFFER, high))
            )

    def close(self) -> None:
        self._bytes.close()
