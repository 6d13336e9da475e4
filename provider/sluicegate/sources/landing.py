"""Where fetched parts land: a folder that is refused by readers until it is whole, and can be continued by another try.

While parts come, `_fetching/progress.json` says which are there and what is next; a folder with it is under way, as one
with Spark's `_temporary/` is. At the end `_SUCCESS` says what was fetched, and the progress goes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sluicegate.faults import FaultError, fault
from sluicegate.storage import Storage
from sluicegate.storage.part import MARKER
from sluicegate.storage.traces import FETCHING

__all__ = ["Landing", "Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a fetch came: its parts, by name, and the `state` from which it goes on (None: from the beginning)."""

    digest: str
    parts: tuple[str, ...] = ()
    rows: int = 0
    pages: int = 0
    state: Mapping[str, Any] | None = None
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)


class Landing:
    """One fetch into one folder.

    :param folder: its URI, with the slash
    :param digest: what is fetched: only the same is continued
    :param work: a local folder
    """

    def __init__(self, storage: Storage, folder: str, digest: str, work: Path) -> None:
        self._storage, self._folder, self._work = storage, folder, work
        self.progress = Progress(digest)

    def begin(self, *, anew: bool = False) -> Progress:
        """Continue what another try has left of the same fetch, or begin; from then on the folder is under way."""
        left = None if anew else self._left()
        if left is not None and left.digest == self.progress.digest:
            self.progress = replace(left, owner=self.progress.owner)
        else:
            self.progress = replace(self.progress, parts=(), rows=0, pages=0, state=None)
        self._put(f"{FETCHING}/progress.json", self.progress.__dict__)
        self._storage.delete_parts([self._folder + MARKER])
        return self.progress

    def name(self, suffix: str) -> str:
        """What the next part is called."""
        return f"part-{len(self.progress.parts):05d}{suffix}"

    def add(self, file: Path, rows: int, *, pages: int = 0, state: Mapping[str, Any] | None = None) -> None:
        """Land `file`, whose name is that of the part, and note from where to go on.

        :raises FaultError: WRONG_USE when another try has taken this fetch over.
        """
        left = self._left()
        if left is None or left.owner != self.progress.owner:
            raise fault("WRONG_USE", f"{self._folder}: another try of this step has taken the fetch over")
        self._storage.put_atomic(file, self._folder + file.name)
        done = self.progress
        self.progress = replace(
            done, parts=(*done.parts, file.name), rows=done.rows + rows, pages=done.pages + pages, state=state
        )
        self._put(f"{FETCHING}/progress.json", self.progress.__dict__)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Remove what an earlier fetch had more, and say that the folder is whole."""
        kept = {self._folder + name for name in self.progress.parts}
        self._storage.delete_parts([old for old in self._storage.part_uris(self._folder) if old not in kept])
        done = self.progress
        self._put(MARKER, {"parts": list(done.parts), "rows": done.rows, "pages": done.pages, **facts})
        self._storage.delete_parts([f"{self._folder}{FETCHING}/progress.json"])

    def _left(self) -> Progress | None:
        try:
            parts = self._storage.list_parts(f"{self._folder}{FETCHING}/progress.json")
            if not parts:
                return None
            said = json.loads(self._storage.fetch(parts[0], self._work).read_bytes())
        except FaultError as error:
            if error.code in {"SOURCE_MISSING", "SOURCE_CHANGED"}:
                return None
            raise
        return Progress(**{**said, "parts": tuple(said["parts"])})

    def _put(self, name: str, value: Mapping[str, Any]) -> None:
        path = self._work / "note.json"
        path.write_text(json.dumps(value, ensure_ascii=False, default=str), encoding="utf-8")
        self._storage.put_atomic(path, self._folder + name)
