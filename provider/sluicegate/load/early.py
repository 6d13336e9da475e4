"""Whether it makes sense to read on: where what is read already has more dead records than all of it may have.

Only what is sure counts: what a rule with `mostly` may forgive in the end does not, and all that is not read yet may be
good. So nothing stops that could have been loaded, and another attempt stops at the same record.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate.load.badfiles import BadFiles
from sluicegate.load.staged import FAILED, Staged
from sluicegate.records.reader import Reader

__all__ = ["LOOK", "EarlyStop", "Stopped"]

log = logging.getLogger("sluicegate.load")

LOOK = 50_000
"""Records after which it is looked, between two files, whether reading on makes sense."""
LARGE = 5_000_000
"""Records from which on a file's beginning is looked at first."""
LARGE_BYTES = 1 << 20
"""A smaller file is not asked for its records."""
SHARE = 1_000
"""Of a large file, the first one in so many records is looked at: it costs next to nothing."""
_WORTH = 4
"""A proof that takes more than one in so many of a file's records saves too little."""
_MORE = 1.25
"""So many times as many records are read as would do if the file went on as it began."""


@dataclass(frozen=True)
class Stopped:
    """Where reading stopped: behind so many records of a part, None behind all of it; and the parts left unread."""

    uri: str
    records: int | None
    most: int | None
    unread: int

    def __str__(self) -> str:
        words = ""
        if self.records is not None:
            words += f"; reading stopped behind record {self.records:,} of about {self.most:,} in {self.uri}"
        if self.unread:
            words += f"; the last {self.unread:,} files were not read"
        return f"{words}, whatever is in {'them' if self.records is None else 'the rest'}"


class EarlyStop:
    """Asked while parts are read, in their order.

    :param allowed: so many dead records may be there, of so many at most (None: not known); None if there is no limit
        yet.
    :param sure: SQL of whether the rules whose numbers are in a list surely set a record aside.
    """

    def __init__(
        self, staged: Staged, bad: BadFiles, allowed: Callable[[int | None], int | None], sure: Callable[[str], str]
    ) -> None:
        self._staged, self._bad, self._allowed, self._sure_sql = staged, bad, allowed, sure
        self.look = LOOK
        self._looked_at = self._sure = 0

    def between(self, left: Sequence[Reader]) -> bool:
        """Whether the parts that are `left` cannot help; asked each time that enough records have come in since."""
        rows = self._staged.rows
        if not left or rows - self._looked_at < self.look:
            return False
        self._sure += self._staged.number(
            f"SELECT count(*) FROM staged s WHERE s.rowid >= {self._looked_at} AND {FAILED} IS NOT NULL AND "
            f"{self._sure_sql(FAILED)}"
        )
        self._looked_at = rows
        bound = self._bound(left)
        return bound is not None and bound < 0

    def inside(self, reader: Reader, left: Sequence[Reader], count: Callable[[Reader], tuple[int, int]]) -> int | None:
        """How many of the first records of a large part show that the rest of it cannot help; None if they do not.
        The reader is then cut to them.

        :param count: how many records a reader has, and how many of them are surely dead.
        """
        most = reader.most if _may_be_large(reader.part.path) else None
        bound = None if most is None or most < LARGE else self._bound([reader, *left])
        if most is None or bound is None or bound >= most:
            return None
        enough = most // SHARE
        reader.cut(enough)
        rows, dead = count(reader)
        if dead <= bound and dead and rows:
            enough = math.ceil(_MORE * (bound + 1) * rows / dead)
            if enough * _WORTH <= most:
                reader.cut(enough)
                _, dead = count(reader)
        if dead > bound:
            return enough
        reader.cut(None)
        return None

    def _bound(self, left: Sequence[Reader]) -> int | None:
        """So many records of the parts that are left may be dead; None where that is not known."""
        known = [most for reader in left if (most := reader.most) is not None]
        total = self._staged.rows + len(self._bad) + sum(known) if len(known) == len(left) else None
        allowed = self._allowed(total)
        return None if allowed is None else allowed - self._sure - len(self._bad)


def _may_be_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size >= LARGE_BYTES
