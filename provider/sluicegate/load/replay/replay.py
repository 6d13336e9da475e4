"""Dead letters once more, by the same way as a load: the same checks, merge, lock and commit, with a row of the ledger.

Each batch is one transaction: its records, what becomes of its letters, the ledger's row. So a replay may be killed
anywhere and run again, and two of them at once bring each letter in once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import Rule
from sluicegate.faults import fault
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Counts
from sluicegate.ledger.ledger import Ledger
from sluicegate.ledger.letters import Closed, Letter, LetterStatus, Place, Selection
from sluicegate.load.account import Account
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.letters import sample_letters
from sluicegate.load.load import LOGGED, LOGGED_OF, Loader, Ready, Source
from sluicegate.load.references import Files
from sluicegate.load.replacing import window_rules
from sluicegate.load.replay.mend import AsItIs, Edited, Mending, read_edited
from sluicegate.load.replay.prepare import Item, prepare
from sluicegate.load.replay.readers import read_letters
from sluicegate.load.replay.report import ReplayReport
from sluicegate.load.replay.reread import Found, Rereader
from sluicegate.load.request import LoadRequest
from sluicegate.load.stage import Stage
from sluicegate.pipeline.keys.load import DeadLetters, Mode
from sluicegate.pipeline.text.quantities import Limit
from sluicegate.records.engine import open_duckdb
from sluicegate.records.reader import Reader
from sluicegate.records.types import ColumnType
from sluicegate.runtime.folder import work_folder
from sluicegate.storage.part import Part
from sluicegate.targets.target import Replaced, Session, Table, Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Replay"]

log = logging.getLogger("sluicegate.load")

_BATCH = 5_000
"""Letters that go in by one transaction, at most."""
_UNLOADED = "their load failed as a whole, or their file could not be read: mend that, and clear the load"
OUTSIDE_SCOPE = "outside_scope"
"""The rule of a letter whose record is not of what the load is narrowed to: left out, it would count as brought in."""
SAME_KEY = "same_key"
"""The rule of a letter whose key was not known, and is there already: nothing says which of the two is newer."""


class _NothingLeftError(Exception):
    """All letters of a batch were closed meanwhile."""


class Replay:
    """Replays what a selection means, batch by batch; `cancel` stops it from another thread or a signal handler.

    :param request: the load's configuration as it is now; its sources do not count.
    :param source: where records are read again that their letters do not hold.
    :param targets: the target of the table that a letter names.
    :param ledger: the ledger for a look, without the lock.
    :param for_window: the request for letters of a window, where something in it is rendered from that.
    :param overwrite: whether a letter may replace a row though nothing says which is newer.
    :raises FaultError: as a load does; what the batches before have brought in stays.
    """

    def __init__(
        self,
        request: LoadRequest,
        source: Source,
        targets: Callable[[str], Target],
        ledger: Callable[[], AbstractContextManager[Ledger]],
        *,
        who: str,
        reason: str | None = None,
        mending: Mending | None = None,
        overwrite: bool = False,
        for_window: Callable[[LoadRequest, Window | None], LoadRequest] | None = None,
    ) -> None:
        self._for_window = for_window
        self._request, self._source, self._targets, self._ledger = request, source, targets, ledger
        self._closed = Closed(LetterStatus.REPLAYED, who, reason)
        self._mending: Mending = mending or AsItIs()
        self._overwrite = overwrite
        self._loader: _ReplayLoader | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Stop the replay, whatever it does; before `run` it will not begin. What was committed stays."""
        self._is_cancelled = True
        if (loader := self._loader) is not None:
            loader.cancel()

    def run(self, selection: Selection, limit: int | None = None) -> ReplayReport:
        """Replay the open letters that are meant, `limit` of them at most."""
        report = ReplayReport(dry_run=self._request.dry_run)
        report = report.leaving(self._unloaded(selection))
        after: Place | None = None
        rest = limit
        while rest is None or rest > 0:
            most = _BATCH if rest is None else min(rest, _BATCH)
            with self._ledger() as ledger:
                letters = ledger.letters.page(replace(selection, loaded=True), after, most)
            if not letters:
                break
            report = self._replay(letters, report)
            after = letters[-1].place
            rest = None if rest is None else rest - len(letters)
        return report

    def run_edited(self, file: Path, selection: Selection) -> ReplayReport:
        """Replay the letters of an exported file with what it says of their records now."""
        report = ReplayReport(dry_run=self._request.dry_run)
        for records in read_edited(file, _BATCH):
            self._mending = Edited(records)
            meant = replace(selection, ids=tuple(records))
            report = self.run(meant).after(report)
        return report

    def _unloaded(self, selection: Selection) -> Mapping[str, int]:
        """Open letters that are not to be replayed, as nothing of their file has come in."""
        with self._ledger() as ledger:
            count = ledger.letters.count(selection) - ledger.letters.count(replace(selection, loaded=True))
        return {_UNLOADED: count} if count else {}

    def _replay(self, letters: Sequence[Letter], report: ReplayReport) -> ReplayReport:
        items: list[Item] = []
        for target, some in groupby(letters, key=lambda letter: letter.target):
            ready, left = self._prepared(target, list(some))
            items += ready
            report = report.leaving(left)
        by_window = self._for_window is not None or self._request.mode is Mode.REPLACE_WINDOW
        for _, group in groupby(items, key=lambda item: (item.shape, item.letter.window if by_window else None)):
            batch = list(group)
            self._loader = _ReplayLoader(
                self._of(batch[0].letter), batch, self._targets(batch[0].letter.target), self._ledger,
                self._closed, overwrite=self._overwrite, files=self._source,
            )  # fmt: skip
            if self._is_cancelled:
                self._loader.cancel()
            try:
                report = report.plus(self._loader.run())
            except _NothingLeftError:
                log.info("%s dead letters were closed meanwhile", f"{len(batch):,}")
            finally:
                self._loader = None
        return report

    def _of(self, letter: Letter) -> LoadRequest:
        return self._request if self._for_window is None else self._for_window(self._request, letter.window)

    def _prepared(self, target: str, letters: Sequence[Letter]) -> tuple[list[Item], Mapping[str, int]]:
        request = self._request

        def reread(lacking: Sequence[Letter]) -> Mapping[str, Found | str]:
            there = self._targets(target)
            names = tuple(request.columns or there.inspect().columns)
            with work_folder() as folder, open_duckdb(folder, request.memory_limit) as duck:
                return Rereader(self._source, duck, request.format, folder, names, there.dialect).read(lacking)

        return prepare(letters, request.format, self._mending, reread, sensitive_of(request))


def sensitive_of(request: LoadRequest) -> frozenset[str]:
    return frozenset(name for name, column in request.columns.items() if column.sensitive)


class _Letters:
    """What a loader takes for its source: one part, which is nowhere but in the ledger."""

    def __init__(self, uri: str, version: str) -> None:
        self._part = Part(uri, 0, version, datetime.now(UTC))

    def require_parts(self, uris: str | Sequence[str]) -> tuple[Part, ...]:
        return (self._part,)

    def fetch(self, part: Part, into: Path) -> Path:
        return into

    def put_atomic(self, path: Path, uri: str) -> None:
        """A replay publishes no results: they would be of some records only."""

    def region(self, uri: str) -> str:
        return ""

    def verify(self, part: Part) -> None:
        """The ledger is looked at again under the lock."""


class _ReplayLoader(Loader):
    """The load of one batch. Its records take the way of any other; what differs is what becomes of the letters."""

    def __init__(
        self,
        request: LoadRequest,
        items: Sequence[Item],
        target: Target,
        ledger: Callable[[], AbstractContextManager[Ledger]],
        closed: Closed,
        *,
        files: Files,
        overwrite: bool,
    ) -> None:
        version = hashlib.sha256("\n".join(item.letter.id for item in items).encode()).hexdigest()
        uri = f"dead-letters:{version[:16]}"
        super().__init__(_as_replay(request, uri, items[0].letter.window), _Letters(uri, version), target)
        self._digest = request.digest()
        self._account = Account(self._request, self._digest)
        self._asked = tuple(_strict(rule) for rule in self._rules)
        self._items, self._look, self._closed = list(items), ledger, closed
        self._files, self._overwrite = files, overwrite
        self._is_first = True

    def _size_of(self, parts: Sequence[Part]) -> int | None:
        return None

    def _open(
        self, duck: DuckDBPyConnection, folder: Path, parts: Sequence[Part], table: Table, bad: BadFiles
    ) -> Sequence[Reader]:
        if not table.exists:
            raise fault("SCHEMA_MISMATCH", f"{table.name} does not exist any more, and a replay does not create it")
        if not self._is_first:
            with self._look() as ledger:
                still = {letter.id for letter in ledger.letters.again(self._ids())}
            self._items = [item for item in self._items if item.letter.id in still]
        self._is_first = False
        if not self._items:
            raise _NothingLeftError
        [part] = parts
        return [read_letters(duck, part.uri, part.version, self._items, self._request.format, folder)]

    def _is_wanted(self, session: Session, table: Table) -> bool:
        return [letter.id for letter in session.ledger.letters.again(self._ids())] == self._ids()

    def _ids(self) -> list[str]:
        return [item.letter.id for item in self._items]

    def _outside(self) -> Rule | None:
        scope = self._request.scope
        return Rule("scope", {"column_list": list(scope)}, OUTSIDE_SCOPE) if scope else None

    def _stage(
        self,
        duck: DuckDBPyConnection,
        columns: Mapping[str, ColumnType],
        readers: Sequence[Reader],
        table: Table,
        bad: BadFiles,
    ) -> Stage:
        """A record has to belong to the window of its letter, whose other rows stay."""
        replaced = super()._replaced(columns)
        self._rules = (*self._asked, *(window_rules(replaced) if replaced is not None else ()))
        return super()._stage(duck, columns, readers, table, bad)

    def _replaced(self, columns: Mapping[str, ColumnType]) -> Replaced | None:
        return None

    def _verdicts(self, stage: Stage) -> Sequence[TableVerdict]:
        """A check of the whole table says nothing about some records of it."""
        return ()

    def _apply(self, session: Session, table: Table, stage: Stage, prepared: Ready) -> Ready | None:
        request = self._request
        is_merge = request.mode is Mode.MERGE and request.newest_by is None
        if prepared.records is not None and is_merge and not self._overwrite:
            prepared = self._held_back(session, stage, prepared)
        return super()._apply(session, table, stage, prepared)

    def _held_back(self, session: Session, stage: Stage, prepared: Ready) -> Ready:
        """Without records whose key was not known when they were set aside, and which the table has now."""
        closing = stage.closing()
        asked = [kept for kept in closing.kept() if self._items[kept.line - 1].letter.key != kept.key]
        if not asked:
            return prepared
        key = [prepared.called.get(name, name) for name in self._request.key]
        there = session.present(key, [list(kept.key.values()) for kept in asked])
        held = [kept.row for kept, is_there in zip(asked, there, strict=True) if is_there]
        if not held:
            return prepared
        records = stage.hold_back(held, Rule("constraint", {"column_list": list(self._request.key)}, SAME_KEY))
        counts = Counts(read=stage.read, dead=stage.dead, deduplicated=stage.deduplicated)
        return replace(prepared, records=records, counts=counts, reasons=stage.reasons())

    def _set_aside(self, session: Session, table: Table, stage: Stage, failure: str | None = None) -> None:
        edited = {item.letter.id: item.edited for item in self._items if item.edited is not None}
        bad = list(stage.dead_letters())
        session.ledger.letters.failed_again(bad, edited)
        still = {letter.id for letter in bad}
        brought = [identity for identity in self._ids() if identity not in still]
        closed = replace(self._closed, edited={one: edited[one] for one in brought if one in edited})
        session.ledger.letters.close(brought, closed)
        for sample in sample_letters(bad[:LOGGED_OF], LOGGED):
            log.warning("still bad: %s", sample)

    def _resolve(self, session: Session, table: Table, stage: Stage, parts: Sequence[Part]) -> int:
        """Close open letters whose place a record of this batch took: with its key, and before it in their order."""
        closing, ours = stage.closing(), set(self._ids())
        places = [item.letter.place for item in self._items]
        found = session.ledger.open_letters_of(table.name, [kept.key for kept in closing.kept()])
        others = [letter for letter in found if letter.id not in ours]
        won = closing.winners(others)
        ids = [
            letter.id
            for letter in others
            if letter.id in won
            and letter.place is not None
            and won[letter.id].replaces(
                later=places[won[letter.id].line - 1] > letter.place, by_version=closing.by_version
            )
        ]
        return session.ledger.resolve(ids, self._request.origin.run_id or self._closed.who)


def _as_replay(request: LoadRequest, uri: str, window: Window | None) -> LoadRequest:
    """The load of a batch: nothing is too much for it, and a window is not replaced by some records of it."""
    mode, origin = request.mode, request.origin
    if mode is Mode.REPLACE_WINDOW:
        mode, origin = Mode.MERGE if request.key else Mode.APPEND, replace(origin, window=window)
    limits = DeadLetters(max=Limit.parse("100%"))
    changes = {
        "sources": (uri,), "mode": mode, "origin": origin, "dead_letters": limits, "force": True,
        "skip_bad_files": False, "results": None,
    }  # fmt: skip
    return request.model_copy(update=changes)


def _strict(rule: Rule) -> Rule:
    """Without its `mostly`, which is about a whole file."""
    return replace(rule, kwargs={name: value for name, value in rule.kwargs.items() if name != "mostly"})
