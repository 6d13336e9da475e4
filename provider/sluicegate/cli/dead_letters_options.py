"""The options by which dead letters are chosen and their database is found."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sluicegate.cli.connections import find_connection
from sluicegate.cli.home import airflow_home
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.ledger.letters import LetterStatus, Selection
    from sluicegate.load.replay.of_step import LoadPlace
    from sluicegate.pipeline.keys.model import Pipeline

__all__ = [
    "Chosen", "PipelineOption", "Place", "Where", "window_of", "with_options",
]  # fmt: skip

PipelineOption = Annotated[str | None, typer.Option("--pipeline", "-p", help="Only those of this pipeline.")]
StepOption = Annotated[str | None, typer.Option(help="Only those of this step.")]
TableOption = Annotated[str | None, typer.Option(help="Only those of this table: schema.table.")]
RuleOption = Annotated[
    str | None, typer.Option(help="Only those that break this rule: required:amount, or type for any column.")
]
ColumnOption = Annotated[str | None, typer.Option(help="Only those with something wrong in this column.")]
SourceOption = Annotated[str | None, typer.Option(help="Only those of this file; * means any text.")]
WindowOption = Annotated[
    str | None, typer.Option(help="Only those whose window begins in it, in UTC: 2026-01-01..2026-01-07, or one day.")
]
IdOption = Annotated[
    list[str] | None, typer.Option("--id", help="Only this letter; the beginning of its id is enough.")
]
ConnectionOption = Annotated[
    str | None, typer.Option(help="The Airflow connection of the database, where no pipeline says it.")
]
UrlEnvOption = Annotated[
    str | None,
    typer.Option("--url-env", metavar="NAME", help="Without Airflow: the variable that holds the database's URL."),
]
DagsOption = Annotated[Path, typer.Option("--dags", help="The dags root, with the pipeline's file below it.")]
StateOption = Annotated[Path, typer.Option(help="State folder of the embedded stack, whose connections are used.")]


@dataclass(frozen=True)
class Chosen:
    """The options that say which letters of a pipeline are meant."""

    step: StepOption = None
    table: TableOption = None
    rule: RuleOption = None
    column: ColumnOption = None
    source: SourceOption = None
    window: WindowOption = None
    ids: IdOption = None

    @property
    def narrows(self) -> bool:
        """Whether any of them is given."""
        return any(vars(self).values())

    def selection(self, pipeline: str | None, statuses: tuple[LetterStatus, ...] | None = None) -> Selection:
        """Which letters the options mean; open ones unless `statuses` says others.

        :raises FaultError: WRONG_USE for a window that is none.
        """
        from sluicegate.ledger.letters import LetterStatus, Selection

        since, until = (None, None) if self.window is None else window_of(self.window)
        return Selection(
            self.table, pipeline, self.step, self.rule, self.column, self.source, since, until, tuple(self.ids or ()),
            (LetterStatus.OPEN,) if statuses is None else statuses,
        )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The options that say in which database the letters are."""

    connection: ConnectionOption = None
    url_env: UrlEnvOption = None
    dags: DagsOption = Path("dags")
    state: StateOption = Path(".sluicegate")

    def where(self, command: str, pipeline: str | None, step: str | None = None) -> Where:
        return Where(command, pipeline, step, **vars(self))


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command of Typer's: a parameter that is a class of options is these options, in its place."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        name = parameter.name
        if name not in groups:
            options.append(parameter.replace(annotation=hints[name]))
            continue
        types = get_type_hints(groups[name], include_extras=True)
        options += [
            parameter.replace(name=one.name, default=one.default, annotation=types[one.name])
            for one in fields(groups[name])
        ]

    @wraps(command)
    def run(**given: Any) -> None:
        made = {name: kind(**{one.name: given.pop(one.name) for one in fields(kind)}) for name, kind in groups.items()}
        command(**given, **made)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in options}
    return run


def window_of(text: str) -> tuple[datetime, datetime]:
    """Beginning and end of a day, or of all days from one to another.

    :raises FaultError: WRONG_USE
    """
    from sluicegate.faults import fault

    first, _, last = text.partition("..")
    try:
        since, until = (_moment(part) for part in (first, last or first))
    except ValueError as error:
        raise fault(
            "WRONG_USE", f"--window {text!r}: expected a day or two, 2026-01-01..2026-01-07: {error}"
        ) from error
    whole_day = len((last or first).strip()) <= len("2026-01-01")
    return since, until + timedelta(days=1) if whole_day else until


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@dataclass
class Where:
    """Where the letters are: the database of a pipeline's loads, of an Airflow connection, or at a URL."""

    command: str
    pipeline: str | None = None
    step: str | None = None
    connection: str | None = None
    url_env: str | None = None
    dags: Path = Path("dags")
    state: Path = Path(".sluicegate")

    def conninfo(self) -> str:
        """Libpq's words. They hold a password: never to be shown.

        :raises FaultError: CONNECTION_MISSING, WRONG_USE
        """
        if self.url_env is not None:
            url = os.environ.get(self.url_env)
            if not url:
                wrong_use(self.command, f"the variable {self.url_env} is not set")
            return url
        if self.connection is not None:
            return self.of_connection(self.connection)
        if self.pipeline is None:
            wrong_use(self.command, "say whose dead letters: -p PIPELINE, --connection ID or --url-env NAME")
        places = {(place.database, place.beside): place for place in self.places()}
        if len(places) > 1:
            databases = sorted(database for database, _ in places)
            wrong_use(self.command, f"{self.pipeline} loads into {', '.join(databases)}: say --step")
        return self.of_place(places.popitem()[1])

    def places(self) -> list[LoadPlace]:
        """The loads of the pipeline that are meant."""
        from sluicegate.load.replay.of_step import place_of
        from sluicegate.pipeline.keys.model import LoadStep

        pipeline, others = self.read()
        names = [self.step] if self.step else [n for n, step in pipeline.steps.items() if isinstance(step, LoadStep)]
        if not names:
            wrong_use(self.command, f"{pipeline.name} has no load")
        return [place_of(pipeline, name, others) for name in names]

    def read(self) -> tuple[Pipeline, dict[str, Pipeline]]:
        """The pipeline, and all that can be read beside it."""
        from sluicegate.pipeline.diagnostics import hint
        from sluicegate.pipeline.tree import read_tree

        if not self.dags.is_dir():
            wrong_use(self.command, f"there is no folder {self.dags}: say --dags")
        tree = read_tree(self.dags)
        if (pipeline := tree.pipelines.get(self.pipeline or "")) is None:
            bad = self.pipeline in tree.readable
            known = "has errors: `sluicegate check` shows them" if bad else "does not exist"
            meant = "" if bad else hint(self.pipeline or "", tree.readable)
            wrong_use(self.command, f"the pipeline {self.pipeline} {known}{meant}")
        return pipeline, dict(tree.readable)

    def of_place(self, place: LoadPlace) -> str:
        """Of the database of its ledger."""
        return self.of_connection(place.database, place.beside)

    def of_connection(self, connection: str, beside: str | None = None) -> str:
        """Of the variable `AIRFLOW_CONN_…`, else of the embedded stack that runs, else of this machine's Airflow."""
        from sluicegate.faults import fault

        with airflow_home():
            from airflow.sdk.exceptions import AirflowNotFoundException

            from sluicegate.ledger.conninfo import conninfo_from
            from sluicegate.targets.open import REDSHIFT

            try:
                found = find_connection(connection, self.state)
                if found.conn_type == REDSHIFT and beside is not None:
                    return self.of_connection(beside)
                return conninfo_from(found, connection)
            except AirflowNotFoundException as missing:
                raise fault(
                    "CONNECTION_MISSING",
                    f"there is no connection {connection!r} here: set AIRFLOW_CONN_{connection.upper()}, or run this "
                    "where Airflow or the embedded stack runs",
                ) from missing
