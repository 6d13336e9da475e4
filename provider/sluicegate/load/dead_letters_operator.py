"""Dead letters in hand-written DAGs: replayed, discarded or resolved by a task. Light to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sluicegate.faults import fault
from sluicegate.load.operator import takes_options
from sluicegate.pipeline.keys.load import Format, LoadOptions
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.runtime.lineage import assets_of
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.results import refuse_results
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.graph.window import Window
    from sluicegate.ledger.letters import Selection
    from sluicegate.load.replay.replay import Replay
    from sluicegate.load.request import LoadRequest

__all__ = ["Action", "DeadLettersOperator"]

Action = Literal["replay", "discard", "resolve"]


class DeadLettersOperator(StepOperator):
    """Replay, discard or resolve the open dead letters of a load, in a DAG that a person starts.

    A replay takes the arguments of the load's `LoadOperator` too (`key=`, `columns=`, ...): they are the configuration
    that its records go in by. Returns a JSON mapping: what was replayed, is still bad and was left.

    :param into: the load's table, `table://<connection>/<[schema.]table>`, or its folder.
    :param ledger_conn_id: the Postgres with the ledger, for a folder.
    :param action: what becomes of them.
    :param load_dag_id: the DAG or pipeline of the load; this DAG unless given.
    :param load_task_id: the task or step of the load; any that loads into the table unless given.
    :param select: which of them: `rule`, `column`, `source`, `since` and `until` (of their windows, ISO), `ids`.
    :param reason: why; needed to discard or resolve.
    :param fix: `module:function`, found from `root`, that mends a record.
    :param edited: an exported file on the worker with edited records, for `action="replay"`.
    :param limit: at most so many letters.
    :param overwrite: without `newest_by`: replace rows though nothing says which is newer.
    :param references: where the datasets are that `references` of columns name, as for the load.
    :param aws_conn_id: for sources on `s3://`, which are read again where a letter does not hold its record.

    A replay has the table or the folder as its outlet, what `references` names as its inlets, unless they are given.
    """

    template_fields: Sequence[str] = ("into", "select", "reason", "fix", "edited", "references")
    ui_color = "#f4e4d7"

    @takes_options
    def __init__(
        self,
        *,
        into: str,
        action: Action = "replay",
        load_dag_id: str | None = None,
        load_task_id: str | None = None,
        select: Mapping[str, Any] | None = None,
        reason: str | None = None,
        fix: str | None = None,
        edited: str | None = None,
        limit: int | None = None,
        overwrite: bool = False,
        references: Mapping[str, str] | None = None,
        aws_conn_id: str = "aws_default",
        ledger_conn_id: str | None = None,
        connection: str | None = None,
        root: str | None = None,
        **kwargs: Any,
    ) -> None:
        options = {name: kwargs.pop(name) for name in LoadOptions.model_fields if name in kwargs}
        refuse_results(options, self.template_fields)
        if action == "replay":
            kwargs = {"inlets": assets_of((references or {}).values()), "outlets": assets_of([into])} | kwargs
        super().__init__(**kwargs)
        self.options = LoadOptions.of(options)
        self.into, self.action, self.select, self.reason = into, action, dict(select or {}), reason
        self.load_dag_id, self.load_task_id = load_dag_id, load_task_id
        self.fix, self.edited, self.limit, self.overwrite = fix, edited, limit, overwrite
        self.references = dict(references or {})
        self.aws_conn_id, self.connection, self.root = aws_conn_id, connection, root
        self.ledger_conn_id = ledger_conn_id
        self._replay: Replay | None = None
        self._is_killed = False

    def run(self, context: Context, step: StepContext) -> StepResult:
        """Act on the letters, and say in one line what became of them."""
        who = f"{step.pipeline}.{step.step} in run {step.run_id}"
        if self.action == "replay":
            return self._replayed(step, who)
        return self._closed(step, who)

    def selection(self, pipeline: str) -> Selection:
        """Which letters are meant.

        :raises FaultError: WRONG_USE for what does not narrow them.
        """
        from datetime import UTC, datetime

        from sluicegate.ledger.letters import Selection
        from sluicegate.pipeline.diagnostics import hint

        known = ("rule", "column", "source", "since", "until", "ids")
        for name in self.select:
            if name not in known:
                raise fault("WRONG_USE", f"select: {name!r} is none of {', '.join(known)}{hint(name, known)}")
        words = dict(self.select)
        for name in ("since", "until"):
            if isinstance(words.get(name), str):
                moment = datetime.fromisoformat(words[name])
                words[name] = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        if "ids" in words:
            words["ids"] = tuple(words["ids"])
        return Selection(pipeline=self.load_dag_id or pipeline, step=self.load_task_id, **words)

    def _replayed(self, step: StepContext, who: str) -> StepResult:
        from contextlib import nullcontext

        from airflow.configuration import conf

        from sluicegate.ledger.conninfo import conninfo_of
        from sluicegate.ledger.entries import Origin
        from sluicegate.load.references import Referenced
        from sluicegate.load.replay.mend import AsItIs, Fixed, Mending
        from sluicegate.load.replay.replay import Replay
        from sluicegate.load.request import request_of
        from sluicegate.runtime.code import find_function, on_path
        from sluicegate.storage import Storage
        from sluicegate.targets.open import reached, target_named
        from sluicegate.targets.target import Target

        table, database = reached(str(self.into), self.ledger_conn_id)
        conninfo = conninfo_of(database)
        request = request_of(
            self.options, ("dead-letters:",), table, Origin(step.pipeline, step.step, step.run_id, step.try_number),
            root=Path(self.root or "."), dry_run=step.dry_run,
            references={name: Referenced((at,), Format()) for name, at in self.references.items()},
            memory_limit=conf.get("sluicegate", "load_memory_limit", fallback=MEMORY_LIMIT),
        )  # fmt: skip

        def target(name: str) -> Target:
            application = f"{step.pipeline}.{step.step} {step.run_id}"
            return target_named(
                name, conninfo, application=application, storage=Storage(self.aws_conn_id),
                memory_limit=request.memory_limit,
            )  # fmt: skip

        with on_path(self.root) if self.fix else nullcontext():
            mending: Mending = AsItIs()
            if self.fix:
                mending = Fixed(find_function(self.fix, self.root), self.fix, self.root)
            storage = Storage(self.aws_conn_id, connection=self.connection)
            self._replay = Replay(
                request, storage, target, target(table).ledger,
                who=who, reason=self.reason, mending=mending, overwrite=self.overwrite,
                for_window=self._narrowed(step),
            )  # fmt: skip
            if self._is_killed:
                self._replay.cancel()
            try:
                selection = self._of_table(target(table).inspect().name, step)
                report = (
                    self._replay.run_edited(Path(self.edited), selection)
                    if self.edited
                    else self._replay.run(selection, self.limit)
                )
            finally:
                self._replay = None
        return StepResult(report.as_dict(), report.line(), report.facts())

    def _narrowed(self, step: StepContext) -> Callable[[LoadRequest, Window | None], LoadRequest] | None:
        """How a request gets the scope for letters of a window; None without a scope."""
        from sluicegate.records.scope import rendered_scope

        if not self.options.scope:
            return None
        scope, params = self.options.scope, step.params
        return lambda request, window: request.model_copy(
            update={"scope": rendered_scope(scope, window or step.window, params)}
        )

    def _closed(self, step: StepContext, who: str) -> StepResult:
        from sluicegate.ledger.conninfo import conninfo_of
        from sluicegate.ledger.letters import Closed, LetterStatus
        from sluicegate.storage import Storage
        from sluicegate.targets.open import reached, target_named
        from sluicegate.targets.postgres.ledgers import close_letters

        if not self.reason:
            raise fault("WRONG_USE", f"action: {self.action} needs a reason")
        table, database = reached(str(self.into), self.ledger_conn_id)
        conninfo = conninfo_of(database)
        status = LetterStatus.DISCARDED if self.action == "discard" else LetterStatus.RESOLVED
        target = target_named(table, conninfo, application=who, storage=Storage(self.aws_conn_id))
        selection = self._of_table(target.inspect().name, step)
        count = close_letters(
            conninfo,
            selection,
            Closed(status, who, self.reason),
            application=who,
            most=self.limit,
            dry_run=step.dry_run,
        )
        word = "would be " if step.dry_run else ""
        return StepResult({str(status): count, "dry_run": step.dry_run}, f"{count:,} dead letters {word}{status}")

    def _of_table(self, name: str, step: StepContext) -> Selection:
        from dataclasses import replace

        return replace(self.selection(step.pipeline), target=name)

    def on_kill(self) -> None:
        """Stop the statement that runs; what was committed stays."""
        self._is_killed = True
        if self._replay is not None:
            self._replay.cancel()
