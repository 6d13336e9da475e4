"""`sluicegate trigger`: starts a run of a pipeline, once, with params that were checked before; and follows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluicegate.cli.airflow_options import (
    AirflowOptions,
    StateOption,
    TokenFileOption,
    UrlOption,
    UserOption,
    connected,
)
from sluicegate.cli.console import console, failing, stop_on_sigterm

if TYPE_CHECKING:
    from sluicegate.api import Client
    from sluicegate.api.trigger import Started, Trigger

__all__ = ["trigger"]


@dataclass(frozen=True)
class _Asked:
    """What a person wants to run."""

    params: tuple[str, ...]
    document: Mapping[str, object]
    key: str | None
    window: str | None
    force: bool
    dry_run: bool
    note: str | None


def trigger(
    pipeline: Annotated[str, typer.Argument(help="The pipeline, which is the DAG's id.")],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A param, name=value; repeatable.")] = None,
    params_json: Annotated[
        str | None, typer.Option(metavar="FILE", help="The params as a JSON object; - reads standard input.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="An idempotency key: the same one gives the same run.")] = None,
    window: Annotated[
        str | None, typer.Option(help="The window that begins then, 2026-01-31 or 2026-01-31T06:00, not a run now.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Load again what was loaded; a window that has run, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and keep nothing.")] = False,
    note: Annotated[str | None, typer.Option(help="A note at the run, which Airflow's pages show.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run, and end with its result.")] = False,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds to follow it at most.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Start a run of a pipeline. Exit codes: 0 started (with --wait: succeeded), 1 failed, 2 refused, 3 not known."""
    stop_on_sigterm()
    with failing():
        asked = _Asked(tuple(param or ()), _document(params_json), key, window, force, dry_run, note)
        _are_together(asked, wait=wait, timeout=timeout)
        with connected(AirflowOptions(url, token_file, user, state)) as client:
            _run(client, pipeline, asked, _View(as_json), wait=wait, timeout=timeout)


def _run(client: Client, pipeline: str, asked: _Asked, view: _View, *, wait: bool, timeout: float | None) -> None:
    from sluicegate.api.trigger import Trigger

    found = Trigger.of(client, pipeline)
    if error := found.warning:
        view.warn(f"The file of {pipeline} has errors, and its last good version runs: {error}")
    started = _start(found, asked)
    link = found.url(started.run.run_id)
    view.started(started, link)
    state = _follow(client, started, link, timeout, view) if wait else started.run.state
    view.ended(started, link, state, followed=wait)
    if wait and state != "success":
        raise typer.Exit(1)


def _start(found: Trigger, asked: _Asked) -> Started:
    from sluicegate.api.params import given_params
    from sluicegate.api.trigger import run_id_of
    from sluicegate.api.windows import Windows
    from sluicegate.cli.pace import paced

    form = found.form
    conf = form.checked(given_params(asked.params, dict(asked.document), form) | _switches(asked))
    run_id = None if asked.key is None else run_id_of(asked.key)
    with paced(found.client.url):
        if run_id is not None and (started := found.existing(run_id, conf)) is not None:
            return started
        found.can_start()
        if (rate := _rate(form.schemas)) is not None:
            found.hold(rate)
        if asked.window is None:
            return found.start(run_id, conf, asked.note)
        windows = Windows(found)
        started = windows.restart(windows.at(*_span(asked.window, _timezone(found))), conf, again=asked.force)
        found.note(started.run, asked.note)
        return started


def _switches(asked: _Asked) -> dict[str, object]:
    return {name: True for name, said in (("force", asked.force), ("dry_run", asked.dry_run)) if said}


def _rate(schemas: Mapping[str, Mapping[str, object]]) -> Any:
    from sluicegate.api.trigger import Rate
    from sluicegate.pipeline.text.quantities import Rate as Said
    from sluicegate.runtime.marks import AT_MOST

    said = schemas.get("force", {}).get(AT_MOST)
    if said is None:
        return None
    rate = Said.parse(said)
    return Rate(rate.count, rate.per)


def _timezone(found: Trigger) -> str:
    from sluicegate.runtime.marks import WINDOW_TIMEZONE

    return str(
        found.form.schemas.get("force", {}).get(WINDOW_TIMEZONE) or found.details.text_or_none("timezone") or "UTC"
    )


def _span(words: str, timezone: str) -> tuple[datetime, datetime]:
    """The first and the last moment at which the window may begin: a whole day for a day."""
    from zoneinfo import ZoneInfo

    from sluicegate.api.errors import WrongParam

    try:
        moment = datetime.fromisoformat(words)
    except ValueError as error:
        raise WrongParam(
            f"Not a day or a moment: {words!r}.", "Write --window 2026-01-31, or 2026-01-31T06:00."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    if len(words) > len("2026-01-31"):
        return moment, moment
    return moment, datetime.combine(moment.date(), time.max, moment.tzinfo)


def _document(where: str | None) -> dict[str, object]:
    from sluicegate.api.errors import WrongParam
    from sluicegate.api.params import from_json

    if where is None:
        return {}
    try:
        text = sys.stdin.read() if where == "-" else Path(where).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongParam(f"{where} cannot be read: {error}", "Name a file with a JSON object, or - .") from error
    return from_json(text, "Standard input" if where == "-" else where)


def _are_together(asked: _Asked, *, wait: bool, timeout: float | None) -> None:
    from sluicegate.api.errors import WrongParam

    if asked.key is not None and asked.window is not None:
        raise WrongParam("--key and --window are given.", "A window has one run already: without --force it stays so.")
    if timeout is not None and not wait:
        raise WrongParam("--timeout is given without --wait.", "Give both.")


def _follow(client: Client, started: Started, link: str, timeout: float | None, view: _View) -> str:
    """Until the run has ended: its state. Ctrl-C, a lost connection and the end of patience leave it running."""
    from sluicegate.api.errors import ApiError
    from sluicegate.api.follow import follow

    state = started.run.state
    try:
        for look in follow(client, started.run, timeout):
            state = look.run.state
            for task in look.changed:
                view.step(task)
    except KeyboardInterrupt:
        view.say(f"Not followed any more; the run goes on: {link}")
        view.given_up(started, link, state)
        raise
    except ApiError as error:
        error.remedy = f"{error.remedy} The run: {link}"
        view.given_up(started, link, state)
        raise
    return state


class _View:
    """What is said: lines as things happen, or one JSON object in the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._out = console(err=as_json)
        self._steps: dict[str, str] = {}

    def say(self, line: str) -> None:
        self._out.print(line)
        self._out.file.flush()

    def warn(self, words: str) -> None:
        console(err=True).print(f"warning: {words}")

    def started(self, started: Started, link: str) -> None:
        if not self._as_json:
            verb = "Started" if started.new else f"There already ({started.run.state})"
            self.say(f"{verb}: {started.run.run_id}")
            self.say(link)

    def step(self, task: Any) -> None:
        name = task.task_id + (f"[{task.map_index}]" if task.map_index >= 0 else "")
        self._steps[name] = str(task.state)
        tries = f", try {task.try_number}" if task.try_number > 1 else ""
        self.say(f"  {name}: {task.state}{tries}")

    def given_up(self, started: Started, link: str, state: str) -> None:
        """What is known of a run that is not followed any more."""
        if self._as_json:
            self.ended(started, link, state, followed=True)

    def ended(self, started: Started, link: str, state: str, *, followed: bool) -> None:
        if self._as_json:
            run = started.run
            found = {"pipeline": run.dag_id, "run_id": run.run_id, "state": state, "new": started.new, "url": link}
            typer.echo(json.dumps(found | ({"steps": self._steps} if followed else {}), indent=2))
        elif followed:
            happy = state == "success"
            self.say("The run succeeded." if happy else "The run failed. `sluicegate recover plan` says what to do.")
