"""One load, from its parts to the commit. Knows neither Airflow nor the target's SQL.

Safe to be killed anywhere and to be run again: whatever is kept is kept by one commit, with the ledger's row in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import REFERENCES, Rule, number_twins
from sluicegate.faults import FaultError, fault
from sluicegate.ledger.entries import Counts, Load
from sluicegate.ledger.ledger import Ledger
from sluicegate.load.account import Account
from sluicegate.load.asbytes import require_no_bytes
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.drift import drift_of
from sluicegate.load.lend import SMALL, allow_columns, lend_duckdb
from sluicegate.load.letters import MASK, sample_letters
from sluicegate.load.plan import match_case, plan_columns, rules_of_target, unwritten
from sluicegate.load.prepared import Prepared
from sluicegate.load.references import Files, ReferencedTable, References, open_referenced
from sluicegate.load.replacing import replaced_by, window_rules
from sluicegate.load.report import LoadReport, reasons_text
from sluicegate.load.request import LoadRequest
from sluicegate.load.results import file_name, publish
from sluicegate.load.small import SmallStage
from sluicegate.load.stage import Stage
from sluicegate.load.stop import Stop
from sluicegate.pipeline.keys.load import Overlap
from sluicegate.pipeline.keys.model import Column, Mode
from sluicegate.records.casts import Cast
from sluicegate.records.infer import infer_types
from sluicegate.records.notation import notation_of
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart, Reader
from sluicegate.records.scope import as_values, read_values
from sluicegate.records.types import ColumnType
from sluicegate.runtime.folder import work_folder
from sluicegate.storage.filetype import file_type
from sluicegate.storage.part import Part, version
from sluicegate.targets.target import Change, Changes, Merge, Replaced, Session, Table, Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LOGGED", "LOGGED_OF", "Loader", "Ready", "Source", "load"]

log = logging.getLogger("sluicegate.load")

_ATTEMPTS = 5
"""How often a load starts anew because the target table was created or changed while it read."""
LETTERS_OF_FAILED = 10_000
"""So many of its dead letters a load keeps that fails as a whole: they say why, and the next load reads all again."""
_FORGOTTEN = 10_000
"""So many dead letters are deleted by one load at most, when they have been closed for long enough."""
LOGGED = 5
"""How many dead letters are logged with their values, out of the first so many."""
LOGGED_OF = 1_000


class Source(Protocol):
    """Where parts come from; `sluicegate.storage.Storage` is one."""

    def require_parts(self, uris: str | Sequence[str]) -> tuple[Part, ...]: ...

    def fetch(self, part: Part, into: Path) -> Path: ...

    def verify(self, part: Part) -> None: ...

    def put_atomic(self, path: Path, uri: str) -> None: ...

    def region(self, uri: str) -> str: ...


@dataclass(frozen=True)
class Ready:
    """What came out of the stage. `failure` is why none of it may go in, if so.

    `called` is the target's name of each column that the source writes in another case.
    """

    columns: Mapping[str, ColumnType]
    records: Prepared | None
    counts: Counts
    reasons: Mapping[str, int]
    failure: FaultError | None
    called: Mapping[str, str] = field(default_factory=dict)


def load(request: LoadRequest, source: Source, target: Target) -> LoadReport:
    """Bring the sources of `request` into `target`, once.

    :raises FaultError: SOURCE_MISSING, SOURCE_UNREADABLE, SCHEMA_MISMATCH, CHECK_BROKEN before anything is changed;
        TOO_MANY_DEAD_LETTERS, CHECK_FAILED after the dead letters and a failed row of the ledger were kept, and no
        data. What the database raises is raised as it is.
    """
    from sluicegate.load.checked.load import loader_of

    return loader_of(request, source, target).run()


class Loader:
    """One load; `cancel` stops it from another thread or a signal handler.

    :param tables: opens the table at a `table://` URI to which a column refers; by its Airflow connection
    """

    def __init__(
        self,
        request: LoadRequest,
        source: Source,
        target: Target,
        tables: Callable[[str], ReferencedTable] = open_referenced,
    ) -> None:
        self._request, self._source, self._target, self._tables = request, source, target, tables
        self._files: Files = source
        """Where datasets are fetched from to which columns refer."""
        self._duck: DuckDBPyConnection | None = None
        self._size: int | None = None
        """Bytes of all that is read, where they are known."""
        self._digest = request.digest()
        self._account = Account(request, self._digest)
        self._rules = request.rules()
        self._sensitive = frozenset(name for name, column in request.columns.items() if column.sensitive)
        self._stop = Stop(self._interrupt)

    def cancel(self) -> None:
        """Stop the load, whatever it does; before `run` it will not begin. What is committed stays."""
        self._stop.ask()

    def facts(self, name: str) -> dict[str, Any]:
        """See `Account.facts`."""
        return self._account.facts(name)

    def _interrupt(self) -> None:
        if (duck := self._duck) is not None:
            duck.interrupt()
        self._target.cancel()

    def run(self) -> LoadReport:
        with self._stop.while_running(), self._target:
            return self._run()

    def _run(self) -> LoadReport:
        request = self._request
        account = self._account
        with account.phase("list"):
            account.parts = parts = self._source.require_parts(request.sources)
        for _ in range(_ATTEMPTS):
            with account.phase("look"):
                table = self._target.inspect()
            if not request.force:
                with account.phase("look"), self._target.ledger() as ledger:
                    done = self._find(ledger, table, parts)
                if done is not None:
                    return self._account.skipped(table, done)
            with ExitStack() as stack:
                if request.overlap is Overlap.FAIL and not request.dry_run:
                    stack.enter_context(self._target.alone(table, request.origin))
                self._size = self._size_of(parts)
                self._duck, folder = stack.enter_context(lend_duckdb(request.memory_limit, self._size))
                folder = request.work_folder or folder
                try:
                    report = self._load(self._duck, folder, parts, table)
                finally:
                    self._duck = None
                if report is not None:
                    return report
            log.info("%s was created or changed meanwhile: starting anew", table.name)
        raise fault("WAREHOUSE_BUSY", f"{table.name} was changed again and again while the source was read")

    def _size_of(self, parts: Sequence[Part]) -> int | None:
        """Bytes of all that is read; None where they may be many more than the parts have."""
        try:
            kinds = {file_type(part.uri, self._request.format) for part in parts}
        except FaultError:
            return None  # It is raised when the part is opened.
        if self._request.references or any(kind.gzip or kind.kind == "parquet" for kind in kinds):
            return None
        return sum(part.size for part in parts)

    def _find(self, ledger: Ledger, table: Table, parts: Sequence[Part]) -> Load | None:
        """The load of this version, unless what it brought in is gone with its table."""
        request = self._request
        done = ledger.find(table.name, request.source, version(parts), self._digest, ever=request.mode is Mode.APPEND)
        if done is None or table.exists or not done.counts.in_table:
            return done
        log.warning("%s has been dropped since this version was loaded: it is loaded again", table.name)
        return None

    def _load(self, duck: DuckDBPyConnection, folder: Path, parts: Sequence[Part], table: Table) -> LoadReport | None:
        """None when the table has changed meanwhile, so that the plan may be wrong."""
        request = self._request
        bad = BadFiles(allowed=request.skip_bad_files)
        with self._account.phase("fetch"):
            readers = self._open(duck, folder, parts, table, bad)
        names = tuple(dict.fromkeys(name for reader in readers for name in reader.names))
        alike = match_case(table, names)
        if alike:
            shown = ", ".join(f"{name!r} is {own!r}" for own, name in alike.items())
            log.info("columns of the source that %s has in another case: %s", table.name, shown)
        seen = table.seen_as(alike)
        allow_columns(duck, request.memory_limit, len(names))
        with self._account.phase("stage"):
            columns = self._plan(duck, readers, names, seen)
            require_no_bytes(readers, columns, table.name)
            stage = self._stage(duck, columns, readers, seen, bad)
            for part in parts:
                self._source.verify(part)
        self._stop.check()
        if not names and stage.read > stage.dead:
            raise fault("SCHEMA_MISMATCH", "the records of the source have no columns", uri=request.source)
        if not stage.read and not all(name in seen.columns or self._is_declared(name) for name in columns):
            columns = {}  # The first record will say of what types they are.
        called = {name: own for own, name in alike.items()}
        beside = unwritten(request, seen)
        drift = drift_of(seen, names, request.on_schema_change, beside)
        if drift.added or drift.ignored:
            log.warning("the columns of %s and of its source differ: %s", table.name, drift.line())
        self._account.drift = drift.as_dict()
        written = {name: type_ for name, type_ in columns.items() if name not in beside}
        with self._account.phase("check"):
            prepared = replace(self._prepare(stage, columns, beside), columns=written, called=called)
        with self._account.phase("apply"), self._target.session(table, dry_run=request.dry_run) as session:
            if not request.force:
                done = self._find(session.ledger, table, parts)
                if done is not None:
                    return self._account.skipped(table, done)
            if not self._is_wanted(session, table):
                return None
            if prepared.failure is None:
                applied = self._apply(session, table, stage, prepared)
                if applied is None:
                    return None
                prepared = applied
            if prepared.failure is not None:
                return self._refuse(session, table, stage, parts, prepared)
            return self._keep(session, table, stage, parts, prepared)

    def _open(
        self, duck: DuckDBPyConnection, folder: Path, parts: Sequence[Part], table: Table, bad: BadFiles
    ) -> Sequence[Reader]:
        """The parts as records, in the order of reading."""
        local = [
            LocalPart(number, part.uri, part.version, self._source.fetch(part, folder))
            for number, part in enumerate(parts)
        ]
        headerless, dialect = self._names_of_headerless(table), self._target.dialect
        form = self._request.format
        readers = bad.opened(local, lambda part: open_part(duck, part, form, folder, headerless, dialect))
        return bad.fitting(readers, lambda reader: self._fit(reader, table))

    def _is_wanted(self, session: Session, table: Table) -> bool:
        """Whether what was read is still what is to be brought in, asked under the lock."""
        return True

    def _names_of_headerless(self, table: Table) -> tuple[str, ...]:
        """What the columns of a file without a header are called."""
        return tuple(self._request.columns or table.columns)

    def _plan(
        self, duck: DuckDBPyConnection, readers: Sequence[Reader], names: Sequence[str], table: Table
    ) -> dict[str, ColumnType]:
        if not names:
            return {}  # an empty source
        dialect = self._target.dialect
        return plan_columns(
            self._request, table, names,
            lambda some: infer_types(duck, readers, some, dialect) if some else {}, dialect.unusable_column,
        )  # fmt: skip

    def _fit(self, reader: Reader, table: Table) -> None:
        """:raises FaultError: SCHEMA_MISMATCH when the columns of one file alone do not go into the table."""
        if reader.names:
            seen = table.seen_as(match_case(table, reader.names))
            text = ColumnType("text")
            plan_columns(self._request, seen, reader.names, lambda some: dict.fromkeys(some, text))

    def _stage(
        self,
        duck: DuckDBPyConnection,
        columns: Mapping[str, ColumnType],
        readers: Sequence[Reader],
        table: Table,
        bad: BadFiles,
    ) -> Stage:
        request = self._request
        replaced = self._replaced(columns)
        asked = [*self._rules, *(window_rules(replaced) if replaced else ()), *rules_of_target(table, columns)]
        rules = number_twins(asked) if columns else ()
        stage = self._new_stage(
            duck,
            {name: self._cast(name, type_) for name, type_ in columns.items()},
            rules,
            self._target.dialect,
            key=request.key if columns else (),
            newest_by=request.newest_by,
            sensitive=self._sensitive,
            references=self._references(duck, columns),
            scope=self._values(request.scope, columns) if columns else None,
            outside=self._outside(),
            delete_when=self._values(request.delete_when, columns) if columns else None,
            size=self._size,
        )
        stage.fill(readers, bad, request.dead_letters.allowed)
        if stage.left_out:
            log.info("%s records are out of the scope and left out", f"{stage.left_out:,}")
        return stage

    def _new_stage(self, *given: Any, **words: Any) -> Stage:
        if self._size is not None and self._size <= SMALL:
            return SmallStage(*given, **words)
        return Stage(*given, **words)

    def _outside(self) -> Rule | None:
        """The rule that a record out of the scope breaks; None leaves such records out."""
        return None

    def _replaced(self, columns: Mapping[str, ColumnType]) -> Replaced | None:
        """The rows that the load replaces, by the source's names."""
        request = self._request
        if request.window_by is None or not columns:
            return None
        place = request.columns.get(request.window_by, Column()).zone
        scope = self._values(request.scope, columns)
        return replaced_by(request.origin.window, request.window_by, columns[request.window_by], place, scope)

    def _values(self, said: Mapping[str, Any], types: Mapping[str, ColumnType]) -> dict[str, tuple[str | None, ...]]:
        """What the pipeline says of columns' values, read as values of their `types`."""
        if not said:
            return {}
        assert self._duck is not None, "a load has its DuckDB until it is committed"
        return read_values(self._duck, as_values(said), types, self._request.columns)

    def _references(self, duck: DuckDBPyConnection, columns: Mapping[str, ColumnType]) -> dict[str, str]:
        """By column that refers to another dataset, the table with the values that it may have."""
        rules = [rule for rule in self._rules if rule.expectation == REFERENCES and rule.columns[0] in columns]
        if not rules:
            return {}
        with work_folder() as folder:
            datasets, dialect = self._request.references, self._target.dialect
            references = References(duck, datasets, self._files, self._tables, dialect, folder)
            return {
                name: references.fill(name, str(rule.kwargs["references"]), columns[name], number)
                for number, rule in enumerate(rules)
                for name in rule.columns
            }

    def _cast(self, name: str, type_: ColumnType) -> Cast:
        said = self._request.columns.get(name, Column())
        return Cast(type_, said.round, said.zone, said.null, said.epoch, notation_of(self._request.format))

    def _is_declared(self, name: str) -> bool:
        return self._request.columns.get(name, Column()).type is not None

    def _prepare(self, stage: Stage, columns: Mapping[str, ColumnType], beside: Collection[str]) -> Ready:
        """:param beside: columns that are read and not written."""
        reasons = stage.reasons()
        counts = Counts(read=stage.read, dead=stage.dead, rejected=stage.read - stage.dead)
        if stage.stopped is not None or self._request.dead_letters.exceeded_by(stage.dead, stage.read):
            self._publish(stage, (), reasons)
            return Ready(columns, None, counts, reasons, self._too_many(stage, reasons))
        if self._request.mode is not Mode.APPEND:
            stage.dedupe()
        verdicts = [
            replace(seen, observed=MASK, value=MASK) if self._hides(seen.rule) else seen
            for seen in self._verdicts(stage)
        ]
        failed = [one for one in verdicts if not one.success and one.rule.severity == "critical"]
        self._account.warn(
            [
                replace(seen, observed=MASK) if seen.observed is not None and self._hides(seen.rule) else seen
                for seen in stage.warnings
            ]
        )
        self._publish(stage, verdicts, reasons)
        if failed:
            detail = "; ".join(f"{verdict.rule.name} does not hold: saw {verdict.observed}" for verdict in failed)
            names = [verdict.rule.name for verdict in failed]
            failure = fault("CHECK_FAILED", detail, uri=self._request.source, rules=names)
            return Ready(columns, None, counts, reasons, failure)
        counts = Counts(read=stage.read, dead=stage.dead, deduplicated=stage.deduplicated)
        return Ready(columns, stage.prepared(beside) if columns else None, counts, reasons, None)

    def _publish(self, stage: Stage, verdicts: Sequence[TableVerdict], reasons: Mapping[str, int]) -> None:
        """Write what the checks saw, before the commit: a try that finds its load done has nothing to say."""
        request = self._request
        if request.results is None or request.dry_run:
            return
        name = file_name(request.origin)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        meta = {"run_id": {"run_name": request.origin.run_id or name, "run_time": now}, "reasons": dict(reasons)}
        document = stage.results(request.table, verdicts, meta | {"source": request.source})
        with work_folder() as folder:
            uri = publish(document, self._files, request.results, name, folder, docs=request.data_docs)
        log.info("results of the checks: %s", uri)

    def _hides(self, rule: Rule) -> bool:
        """Whether what a rule saw shows values of a sensitive column."""
        return not self._sensitive.isdisjoint(rule.columns)

    def _verdicts(self, stage: Stage) -> Sequence[TableVerdict]:
        """What the checks of the whole table say."""
        return stage.verdicts()

    def _too_many(self, stage: Stage, reasons: Mapping[str, int]) -> FaultError:
        share = 100 * stage.dead / stage.read
        error = fault(
            "TOO_MANY_DEAD_LETTERS",
            f"{stage.dead:,} of {stage.read:,} records ({share:.2f}%) were set aside, and dead_letters.max is "
            f"{self._request.dead_letters.max}: {reasons_text(reasons)}{self._bounds(stage)}",
            dead=stage.dead,
            read=stage.read,
            reasons=dict(reasons),
        )
        error.where = tuple(sample_letters(stage.dead_letters(LOGGED_OF), LOGGED))
        return error

    def _bounds(self, stage: Stage) -> str:
        """What is not read or not kept of a load that fails, in words."""
        words = "" if stage.stopped is None else str(stage.stopped)
        if stage.dead > LETTERS_OF_FAILED:
            words += f"; the first {LETTERS_OF_FAILED:,} are kept as dead letters"
        return words

    def _refuse(
        self, session: Session, table: Table, stage: Stage, parts: Sequence[Part], prepared: Ready
    ) -> LoadReport:
        """Keep the dead letters and a failed row, no data; then raise why."""
        assert prepared.failure is not None
        request = self._request
        self._set_aside(session, table, stage, prepared.failure.code)
        session.ledger.record(self._account.entry(table, parts, "failed", prepared.counts, prepared.failure.code))
        if not request.dry_run:
            session.commit()
        report = self._account.report("failed", table, parts, prepared.counts, prepared.reasons)
        if not prepared.failure.where:  # which says it with the places
            log.error("%s", report.line())
        prepared.failure.facts["report"] = report.as_dict()
        raise prepared.failure

    def _apply(self, session: Session, table: Table, stage: Stage, prepared: Ready) -> Ready | None:
        """Bring the records in; None when the table has changed meanwhile.

        Where the target itself refuses more than may be set aside, all is undone and the outcome has a `failure`.
        """
        if prepared.records is None:
            return self._replace_by_nothing(session, table, prepared)
        request, reasons = self._request, prepared.reasons
        columns = {prepared.called.get(name, name): type_ for name, type_ in prepared.columns.items()}
        types = {name: table.columns[name].type if name in table.columns else t for name, t in columns.items()}
        key = tuple(prepared.called.get(name, name) for name in request.key)
        newest_by = request.newest_by and prepared.called.get(request.newest_by, request.newest_by)
        merge = Merge(
            prepared.records, types, key, request.mode, newest_by, bool(request.delete_when), request.batch_rows
        )
        dead = stage.dead
        failure: FaultError | None = None
        try:
            with session.changes():
                if not session.prepare(table, columns, key):
                    return None
                if (replaced := self._replaced(prepared.columns)) is not None:
                    self._account.removed = session.remove(replaced.called(prepared.called))
                applied = session.apply(merge, lambda more: request.dead_letters.exceeded_by(dead + more, stage.read))
                self._account.changes = _masked(applied.changes, self._sensitive, prepared.called)
                if applied.broken:
                    stage.leave_out(applied.broken, prepared.called)
                    reasons = stage.reasons()
                if applied.stopped:
                    failure = self._too_many(stage, reasons)
                    raise failure
        except FaultError as error:
            if error is not failure:
                raise
            counts = Counts(read=stage.read, dead=stage.dead, rejected=stage.read - stage.dead)
            return replace(prepared, counts=counts, reasons=reasons, failure=failure)
        counts = Counts(read=stage.read, dead=stage.dead, deduplicated=stage.deduplicated, **asdict(applied.outcome))
        return replace(prepared, counts=counts, reasons=reasons)

    def _replace_by_nothing(self, session: Session, table: Table, prepared: Ready) -> Ready | None:
        """Empty the window where the source has neither records nor columns of any type."""
        request = self._request
        if request.window_by is None or not table.exists:
            return prepared
        alike = match_case(table, [request.window_by, *request.scope])
        types = {name: column.type for name, column in table.seen_as(alike).columns.items()}
        if missing := [name for name in (request.window_by, *request.scope) if name not in types]:
            some = ", ".join(map(repr, missing))
            raise fault("SCHEMA_MISMATCH", f"{table.name} has no column {some}, by which the window is replaced")
        if (replaced := self._replaced(types)) is None:
            return prepared
        with session.changes():
            if not session.prepare(table, {}, ()):
                return None
            self._account.removed = session.remove(replaced.called({name: own for own, name in alike.items()}))
        return prepared

    def _keep(self, session: Session, table: Table, stage: Stage, parts: Sequence[Part], prepared: Ready) -> LoadReport:
        request = self._request
        self._set_aside(session, table, stage)
        resolved = self._resolve(session, table, stage, parts)
        if request.dead_letters.keep is not None:
            session.ledger.forget(table.name, request.dead_letters.keep, _FORGOTTEN)
        created = not table.exists and prepared.records is not None
        session.ledger.record(self._account.entry(table, parts, "loaded", prepared.counts, created=created))
        self._stop.check()
        if not request.dry_run:
            session.commit()
        return self._account.report(
            "dry_run" if request.dry_run else "loaded", table, parts, prepared.counts, prepared.reasons, resolved
        )

    def _set_aside(self, session: Session, table: Table, stage: Stage, failure: str | None = None) -> None:
        """Keep the dead letters; `failure` is the fault of a load that brings nothing in."""
        most = None if failure is None else LETTERS_OF_FAILED
        letters = (replace(letter, fault=failure) for letter in stage.dead_letters(most))
        # A window that is replaced loses what was replayed into it.
        anew = failure is None and self._request.mode is Mode.REPLACE_WINDOW
        session.ledger.set_aside(table.name, self._digest, self._request.origin, letters, anew=anew)
        if failure != "TOO_MANY_DEAD_LETTERS":  # which says where they are by itself
            for sample in sample_letters(stage.dead_letters(LOGGED_OF), LOGGED):
                log.warning("set aside: %s", sample)

    def _resolve(self, session: Session, table: Table, stage: Stage, parts: Sequence[Part]) -> int:
        """Close the dead letters whose record came in now: by its line of the same file, or by its key; and those of
        whole files that could be read now.
        """
        run = self._request.origin.run_id or "a load outside Airflow"
        ledger = session.ledger
        if not ledger.has_open(table.name):
            return 0
        closing = stage.closing()
        # Narrowed to a scope, the load has left out records of these files, whose letters stay open.
        read = [] if self._request.scope else [(part.uri, part.version) for part in parts if stage.has_read(part.uri)]
        resolved = ledger.resolve_read(table.name, read, run)
        if self._request.mode is Mode.REPLACE_WINDOW and not self._request.scope:
            resolved += ledger.resolve_window(table.name, self._request.origin)
        for letters in ledger.open_letters(table.name, self._request.origin):
            resolved += ledger.resolve(closing.replaced(letters), run)
        return resolved


def _masked(changes: Changes | None, sensitive: Collection[str], called: Mapping[str, str]) -> Changes | None:
    """`changes` without the values of sensitive columns, which the target may call otherwise."""
    hidden = {called.get(name, name) for name in sensitive}
    if changes is None or not hidden:
        return changes

    def masked(values: Mapping[str, str | None]) -> dict[str, str | None]:
        return {name: MASK if name in hidden and value is not None else value for name, value in values.items()}

    sample = (
        Change(masked(one.key), None if one.before is None else masked(one.before), masked(one.after))
        for one in changes.sample
    )
    return Changes(changes.columns, tuple(sample))
