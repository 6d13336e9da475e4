"""Starting one run of a DAG, once, whatever becomes of the answers: by an id that is chosen here, or for a window."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile

from sluicegate.api.answers import DagRun, Fields
from sluicegate.api.client import Client, Query, path
from sluicegate.api.errors import ApiError, NotReachable, Refused, WrongParam
from sluicegate.api.paging import by_offset
from sluicegate.api.params import Form, differences

__all__ = ["Rate", "Started", "TooMany", "Trigger", "run_id_of"]

_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _UNPROCESSABLE, _SERVER_ERROR = 400, 403, 404, 409, 422, 500
_BACKFILL_PATIENCE = 90.0
_TRIES = 3
_FILE_ERROR = "PipelineFileError"
"""The name of the exception by which Airflow files the errors of a pipeline file."""
_LONGEST_REASON = 300
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:+-]{1,150}")


class TooMany(ApiError):  # noqa: N818 (a state, not an error)
    """More runs than the pipeline's file allows within a time."""

    exit_code = 2


@dataclass(frozen=True)
class Rate:
    """At most `count` runs in any stretch of time as long as `per`."""

    count: int
    per: timedelta


@dataclass(frozen=True)
class Started:
    """The run, and whether it was made now: not where an earlier call with the same key had made it."""

    run: DagRun
    new: bool


def run_id_of(key: str) -> str:
    """The id of the run with that idempotency key. One that cannot be part of an id is in it as a digest."""
    if not key.strip():
        raise WrongParam("The key is empty.", "Give one that names what the run is for, as an order's number.")
    if _PLAIN_KEY.fullmatch(key):
        return f"key__{key}"
    readable = re.sub(r"[^A-Za-z0-9_.~:+-]+", "_", key)[:100]
    return f"key__{readable}__{sha256(key.encode()).hexdigest()[:16]}"


@dataclass
class Trigger:
    """The DAG that runs are started of. Every method raises as `Client` does, with words for what Airflow refuses."""

    client: Client
    dag_id: str
    details: Fields = field(repr=False)

    @classmethod
    def of(cls, client: Client, dag_id: str) -> Trigger:
        """Ask Airflow for the DAG.

        :raises WrongParam: when there is none that can be started, with its nearest name or the error in its file.
        """
        try:
            found = client.find(path("dags", dag_id, "details"))
        except Refused as refusal:
            raise _denied(refusal, dag_id, "see") from refusal
        if found is None:
            raise _unknown(client, dag_id)
        trigger = cls(client, dag_id, Fields(found))
        trigger._can_start()
        return trigger

    @property
    def form(self) -> Form:
        params = {name: Fields(each) for name, each in self.details.mapping("params").items()}
        return Form(
            {name: each.mapping("schema") for name, each in params.items()},
            {name: each.value("value") for name, each in params.items()},
        )

    @property
    def warning(self) -> str:
        """What is wrong with the file of a DAG that runs in its last good version; empty where nothing is."""
        return _import_error(self.client, self.dag_id)

    def url(self, run_id: str) -> str:
        return self.client.url + path("dags", self.dag_id, "runs", run_id)

    def existing(self, run_id: str, conf: Mapping[str, object]) -> Started | None:
        """The run of that id, which an earlier call has made.

        :raises WrongParam: when it has other params.
        """
        found = self.client.find(path("dags", self.dag_id, "dagRuns", run_id))
        if found is None:
            return None
        run = DagRun.read(found)
        if other := differences(run.conf, conf):
            raise WrongParam(
                f"There is a run with this key, and it has other params: {', '.join(other)} "
                f"({'is' if len(other) == 1 else 'are'} not the same).",
                f"A key stands for one run with its params: take another key. The run: {self.url(run_id)}",
            )
        return Started(run, new=False)

    def start(self, run_id: str | None, conf: Mapping[str, object], note: str | None = None) -> Started:
        """A run now, whose window is the last one that is over; that of the id, if there is one with these params."""
        keyed = run_id is not None
        run_id = run_id or f"manual__{datetime.now(UTC).isoformat()}__{secrets.token_hex(4)}"
        for _ in range(_TRIES):
            # Two runs of a DAG cannot have one logical date: a conflict may be about that, and the next one is free.
            now = datetime.now(UTC).isoformat()
            body = {"dag_run_id": run_id, "logical_date": now, "conf": dict(conf)} | ({"note": note} if note else {})
            try:
                made = self.client.post(path("dags", self.dag_id, "dagRuns"), body, repeatable=True)
                return Started(DagRun.read(made), new=True)
            except Refused as refusal:
                if refusal.status < _SERVER_ERROR and refusal.status != _CONFLICT:
                    raise _denied(refusal, self.dag_id, "start a run of") from refusal
                # The answer of a request that was repeated: it was the first one that made the run.
                if (found := self.existing(run_id, conf)) is not None:
                    return Started(found.run, new=not keyed)
                last = refusal
        raise last

    def hold(self, rate: Rate) -> None:
        """Count the runs that were started by hand.

        :raises TooMany: when there are as many as `rate` allows, with the time at which there is one less.
        """
        since = datetime.now(UTC) - rate.per
        query: Query = {"run_type": ["manual"], "run_after_gte": since.isoformat(), "order_by": "-run_after"}
        runs = by_offset(self.client, path("dags", self.dag_id, "dagRuns"), "dag_runs", query)
        newest = [Fields(each).moment("run_after") for each in islice(runs, rate.count)]
        newest = sorted((*newest, *(each.moment("created_at") for each in self._backfills(since))), reverse=True)
        if len(newest) < rate.count:
            return
        free = newest[rate.count - 1] + rate.per
        raise TooMany(
            f"{self.dag_id} was started {rate.count} times since {since:%Y-%m-%d %H:%M:%S} UTC, as often as its file "
            "allows.",
            f"One more may start at {free:%Y-%m-%d %H:%M:%S} UTC; `trigger: {{at_most: …}}` in the file says how many.",
        )

    # ---- windows ----

    def window_at(self, first: datetime, last: datetime) -> datetime:
        """The start of the one window that is over and begins between the two moments.

        :raises WrongParam: for none, or several.
        """
        body = self._backfill(first, last, {}, again=True) | {"reprocess_behavior": "completed"}
        try:
            answer = Fields(self.client.post("/backfills/dry_run", body, repeatable=True))
        except Refused as refusal:
            if refusal.status in (_BAD_REQUEST, _UNPROCESSABLE):
                raise WrongParam(f"{self.dag_id} has no windows: {refusal.message}", "Leave --window out.") from refusal
            raise _denied(refusal, self.dag_id, "run a window of") from refusal
        found = [Fields(each).moment("logical_date") for each in answer.entries("backfills")]
        found += [run.start for run in self._runs_between(first, last) if not run.finished]
        dates = sorted(set(found))
        if len(dates) != 1:
            few = ", ".join(date.isoformat() for date in dates[:3])
            said = f"{len(dates)} windows begin then: {few}, …" if dates else "no window that is over begins then"
            raise WrongParam(f"{self.dag_id}: {said}.", "Give the start of one window: --window 2026-01-31T06:00")
        return dates[0]

    def run_at(self, date: datetime) -> DagRun | None:
        return next((run for run in self._runs_between(date, date) if run.logical_date == date), None)

    def restart(self, date: datetime, conf: Mapping[str, object], *, again: bool) -> Started:
        """The window at `date` by a backfill; with `again` the run that it has runs once more, with other params.

        :raises WrongParam: when it has a run, which goes on or is not to run again.
        """
        before = self.run_at(date)
        if before is not None and not before.finished:
            raise WrongParam(
                f"The run of this window is {before.state}.", f"Wait for its end: {self.url(before.run_id)}"
            )
        if before is not None and not again:
            raise WrongParam(
                f"This window has a run, which is {before.state}: {self.url(before.run_id)}",
                "Run it again, with these params, with --force.",
            )
        self._send(self._backfill(date, date, conf, again=again))
        found = self.run_at(date)
        if found is None:
            raise ApiError(
                f"Airflow has taken the window at {date.isoformat()} and made no run of it.",
                f"Look at {self.client.url}{path('dags', self.dag_id, 'backfills')}",
            )
        return Started(found, new=True)

    def note(self, run: DagRun, words: str | None) -> None:
        """Put a note at the run, if there is one."""
        if words:
            self.client.patch(path("dags", self.dag_id, "dagRuns", run.run_id), {"note": words}, repeatable=True)

    def _backfill(
        self, first: datetime, last: datetime, conf: Mapping[str, object], *, again: bool
    ) -> dict[str, object]:
        return {
            "dag_id": self.dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": "completed" if again else "none",
            "dag_run_conf": dict(conf),
        }

    def _send(self, body: Mapping[str, object]) -> None:
        """Make the backfill, once: a lost answer is looked for before anything is asked again."""
        deadline = time.monotonic() + _BACKFILL_PATIENCE
        begun = datetime.now(UTC) - timedelta(seconds=5)
        while True:
            try:
                self.client.post("/backfills", body)
                return
            except (NotReachable, Refused) as error:
                status = error.status if isinstance(error, Refused) else _SERVER_ERROR
                if status >= _SERVER_ERROR and self._was_made(body, begun):
                    return
                if status != _CONFLICT:
                    raise _denied(error, self.dag_id, "run a window of") from error
                if time.monotonic() > deadline:
                    raise WrongParam(
                        f"Another backfill of {self.dag_id} still runs.", "Wait for it, or cancel it in Airflow."
                    ) from error
                time.sleep(1)

    def _was_made(self, body: Mapping[str, object], begun: datetime) -> bool:
        return any(
            each.moment("from_date") == datetime.fromisoformat(str(body["from_date"]))
            and each.mapping("dag_run_conf") == body["dag_run_conf"]
            for each in self._backfills(begun)
        )

    def _backfills(self, since: datetime) -> Iterator[Fields]:
        """Those that were made since then."""
        query = {"dag_id": self.dag_id, "order_by": "-id"}
        newest = (Fields(each) for each in by_offset(self.client, "/backfills", "backfills", query))
        return takewhile(lambda each: each.moment("created_at") >= since, newest)

    def _runs_between(self, first: datetime, last: datetime) -> list[DagRun]:
        query = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat()}
        entries = by_offset(self.client, path("dags", self.dag_id, "dagRuns"), "dag_runs", query)
        return [DagRun.read(each) for each in entries]

    def _can_start(self) -> None:
        if self.details.value("has_import_errors"):
            raise WrongParam(
                f"The file of {self.dag_id} has errors: {_import_error(self.client, self.dag_id) or 'see its page'}",
                "`sluicegate check` shows each with its place.",
            )
        if self.details.value("is_stale"):
            raise WrongParam(f"Airflow does not find the file of {self.dag_id} any more.", "Was it deleted or renamed?")
        if self.details.value("is_paused"):
            raise WrongParam(
                f"{self.dag_id} is paused: a run would not start until somebody resumes it.",
                f"Resume it first: `airflow dags unpause {self.dag_id}`, or on {self.client.url}"
                f"{path('dags', self.dag_id)}",
            )


def _unknown(client: Client, dag_id: str) -> WrongParam:
    from difflib import get_close_matches

    if error := _import_error(client, dag_id):
        return WrongParam(
            f"Airflow has no pipeline {dag_id}, because its file has errors: {error}", "Mend it: `sluicegate check`."
        )
    names = [Fields(each).text("dag_id") for each in by_offset(client, "/dags", "dags", {})]
    near = get_close_matches(dag_id, names, n=1)
    remedy = f"Did you mean {near[0]}?" if near else "`sluicegate check` may say why; a new file takes some seconds."
    return WrongParam(f"Airflow has no pipeline {dag_id}, or your user must not see it.", remedy)


def _import_error(client: Client, dag_id: str) -> str:
    """What is wrong with a file of that name, in a line; empty where nothing is, or it must not be seen."""
    try:
        entries = [Fields(each) for each in by_offset(client, "/importErrors", "import_errors", {})]
    except Refused:
        return ""
    name = re.compile(rf"(?:^|/){re.escape(dag_id)}(?:\.|$)")
    texts = (each.text("stack_trace") for each in entries if name.search(each.text("filename")))
    return next(filter(None, map(_reason, texts)), "")


def _reason(trace: str) -> str:
    """Of a traceback, the line that says what is wrong: the first of a pipeline file's errors, else the exception."""
    _, ours, errors = trace.partition(f"{_FILE_ERROR}:")
    lines = [line for line in (errors if ours else trace).splitlines() if line.strip() and not line[0].isspace()]
    found = (lines[0] if ours else lines[-1]) if lines else ""
    return found.strip()[:_LONGEST_REASON]


def _denied(error: ApiError, dag_id: str, what: str) -> ApiError:
    """In words, what Airflow refuses a user, or a request; other errors stay."""
    status = error.status if isinstance(error, Refused) else None
    if status == _FORBIDDEN:
        return WrongParam(
            f"Your user must not {what} {dag_id}: Airflow answered 403.",
            "It takes a role that may create runs of this DAG (User, Op or Admin; a Viewer may only look).",
        )
    if status in (_BAD_REQUEST, _UNPROCESSABLE):
        return WrongParam(f"Airflow does not take the run: {error.message}", "Mend what it names.")
    return error
