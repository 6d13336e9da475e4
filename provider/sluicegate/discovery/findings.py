"""What scans found out about files and about what was built, kept between them under digests of what was looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sluicegate.discovery.cache import Cache, Kind, key_of
from sluicegate.discovery.compiled import Reading
from sluicegate.discovery.installed import installed_form
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.pipeline.read.draft import Draft
from sluicegate.pipeline.text.digest import source_digest

__all__ = ["DRAFTS", "TRIALS", "Findings", "KnownDraft", "Trial", "draft_key"]


@dataclass(frozen=True)
class KnownDraft:
    """What came of reading a file, and the code that it was judged by."""

    reading: Reading
    code: str
    draft: Draft


@dataclass(frozen=True)
class Trial:
    """What building found. With errors, also all code of that time: it may have imported any of it."""

    diagnostics: tuple[UnplacedDiagnostic, ...]
    code: str = ""

    @classmethod
    def of(cls, unplaced: Iterable[UnplacedDiagnostic], all_code: Callable[[], str]) -> Trial:
        unplaced = tuple(unplaced)
        return cls(unplaced, all_code() if any(diagnostic.is_error for diagnostic in unplaced) else "")

    @property
    def has_errors(self) -> bool:
        return bool(self.code)


DRAFTS = Kind("drafts", KnownDraft, installed_form)
"""By `draft_key`."""

TRIALS = Kind("trials", Trial, installed_form)
"""By the digest of the compiled pipeline, and of the code that it names."""


def draft_key(file: Path, root: Path) -> str:
    """Changes with the file's place, its text and its defaults; not with the variables that they ask for.

    :raises OSError: when `file` cannot be read
    """
    return key_of(str(root), str(file), source_digest(file, root, {}))


class Findings:
    """The findings of before, read when they are asked for; those of now are kept when the scan is done."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._drafts: set[str] = set()
        self._trials: dict[str, Trial] = {}

    def draft(self, key: str) -> KnownDraft | None:
        found = self._cache.get(DRAFTS, key)
        if found is not None:
            self._drafts.add(key)
        return found

    def put_draft(self, key: str, found: KnownDraft) -> None:
        self._cache.put(DRAFTS, key, found)
        self._drafts.add(key)

    def trial(self, key: str) -> Trial | None:
        found = self._trials.get(key) or self._cache.get(TRIALS, key)
        if found is not None:
            self._trials[key] = found
        return found

    def put_trial(self, key: str, found: Trial) -> None:
        self._cache.put(TRIALS, key, found)
        self._trials[key] = found

    def keep(self) -> None:
        """Forget what no file asked for."""
        self._cache.keep(DRAFTS, self._drafts)
        self._cache.keep(TRIALS, self._trials)
