"""Starting one run of a DAG, once, whatever becomes of the answers: by an id that is chosen here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile

from sluicegate.api.answers import DagRun, Fields
from sluicegate.api.client import Client, Query, path
from sluicegate.api.errors import ApiError, Refused, WrongParam
from sluicegate.api.paging import by_offset
from sluicegate.api.params import Form, differences

__all__ = ["Rate", "Started", "TooMany", "Trigger", "denied", "run_id_of"]

_BAD_REQUEST, _FORBIDDEN, _CONFLICT, _UNPROCESSABLE, _SERVER_ERROR = 400, 403, 409, 422, 500
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

        :raises WrongParam: when there is none, with the nearest name or the error in its file.
        """
        try:
            found = client.find(path("dags", dag_id, "details"))
        except Refused as refusal:
            raise denied(refusal, dag_id, "see") from refusal
        if found is None:
            raise _unknown(client, dag_id)
        return cls(client, dag_id, Fields(found))

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
                    raise denied(refusal, self.dag_id, "start a run of") from refusal
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
        newest = sorted((*newest, *(each.moment("created_at") for each in self.backfills(since))), reverse=True)
        if len(newest) < rate.count:
            return
        free = newest[rate.count - 1] + rate.per
        raise TooMany(
            f"{self.dag_id} was started {rate.count} times since {since:%Y-%m-%d %H:%M:%S} UTC, as often as its file "
            "allows.",
            f"One more may start at {free:%Y-%m-%d %H:%M:%S} UTC; `trigger: {{at_most: …}}` in the file says how many.",
        )

    def note(self, run: DagRun, words: str | None) -> None:
        """Put a note at the run, if there is one."""
        if words:
            self.client.patch(path("dags", self.dag_id, "dagRuns", run.run_id), {"note": words}, repeatable=True)

    def backfills(self, since: datetime) -> Iterator[Fields]:
        """Those that were made since then."""
        query = {"dag_id": self.dag_id, "order_by": "-id"}
        newest = (Fields(each) for each in by_offset(self.client, "/backfills", "backfills", query))
        return takewhile(lambda each: each.moment("created_at") >= since, newest)

    def can_start(self) -> None:
        """:raises WrongParam: when a run would not start, with what to do."""
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


def denied(error: ApiError, dag_id: str, what: str) -> ApiError:
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
