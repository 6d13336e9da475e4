"""The runs of a DAG's windows: finding one, and running it once more, by a backfill of Airflow's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sluicegate.api.answers import DagRun, Fields
from sluicegate.api.client import path
from sluicegate.api.errors import ApiError, NotReachable, Refused, WrongParam
from sluicegate.api.paging import by_offset
from sluicegate.api.params import differences
from sluicegate.api.trigger import Started, Trigger, denied

__all__ = ["Windows"]

_BAD_REQUEST, _CONFLICT, _UNPROCESSABLE, _SERVER_ERROR = 400, 409, 422, 500
_BACKFILL_PATIENCE = 90.0


@dataclass(frozen=True)
class Windows:
    """The windows of the DAG of `trigger`. Every method raises as `Client` does."""

    trigger: Trigger

    def at(self, first: datetime, last: datetime) -> datetime:
        """The start of the one window that is over and begins between the two moments.

        :raises WrongParam: for none, or several.
        """
        body = self._backfill(first, last, {}, again=True) | {"reprocess_behavior": "completed"}
        try:
            answer = Fields(self.trigger.client.post("/backfills/dry_run", body, repeatable=True))
        except Refused as refusal:
            if refusal.status in (_BAD_REQUEST, _UNPROCESSABLE):
                raise WrongParam(
                    f"{self.trigger.dag_id} has no windows: {refusal.message}", "Leave --window out."
                ) from refusal
            raise denied(refusal, self.trigger.dag_id, "run a window of") from refusal
        found = [Fields(each).moment("logical_date") for each in answer.entries("backfills")]
        found += [run.start for run in self._runs_between(first, last) if not run.finished]
        dates = sorted(set(found))
        if len(dates) != 1:
            few = ", ".join(date.isoformat() for date in dates[:3])
            said = f"{len(dates)} windows begin then: {few}, …" if dates else "no window that is over begins then"
            raise WrongParam(
                f"{self.trigger.dag_id}: {said}.", "Give the start of one window: --window 2026-01-31T06:00"
            )
        return dates[0]

    def run_at(self, date: datetime) -> DagRun | None:
        return next((run for run in self._runs_between(date, date) if run.logical_date == date), None)

    def restart(self, date: datetime, conf: Mapping[str, object], *, again: bool) -> Started:
        """The window at `date` by a backfill; with `again` the run that it has runs once more, with other params.

        :raises WrongParam: when it has a run, which goes on or is not to run again, or which another has started.
        """
        before = self.run_at(date)
        if before is not None and not before.finished:
            raise WrongParam(
                f"The run of this window is {before.state}.", f"Wait for its end: {self.trigger.url(before.run_id)}"
            )
        if before is not None and not again:
            raise WrongParam(
                f"This window has a run, which is {before.state}: {self.trigger.url(before.run_id)}",
                "Run it again, with these params, with --force.",
            )
        self._send(self._backfill(date, date, conf, again=again))
        found = self.run_at(date)
        if found is None:
            raise ApiError(
                f"Airflow has taken the window at {date.isoformat()} and made no run of it.",
                f"Look at {self.trigger.client.url}{path('dags', self.trigger.dag_id, 'backfills')}",
            )
        if other := differences(found.conf, conf):
            raise WrongParam(
                f"Somebody else has started this window meanwhile, with other params: {', '.join(other)}.",
                f"Wait for its end, then run it again with --force: {self.trigger.url(found.run_id)}",
            )
        return Started(found, new=True)

    def _backfill(
        self, first: datetime, last: datetime, conf: Mapping[str, object], *, again: bool
    ) -> dict[str, object]:
        return {
            "dag_id": self.trigger.dag_id,
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
                self.trigger.client.post("/backfills", body)
                return
            except (NotReachable, Refused) as error:
                status = error.status if isinstance(error, Refused) else _SERVER_ERROR
                if status >= _SERVER_ERROR and self._was_made(body, begun):
                    return
                if status != _CONFLICT:
                    raise denied(error, self.trigger.dag_id, "run a window of") from error
                if time.monotonic() > deadline:
                    raise WrongParam(
                        f"Another backfill of {self.trigger.dag_id} still runs.",
                        "Wait for it, or cancel it in Airflow.",
                    ) from error
                time.sleep(1)

    def _was_made(self, body: Mapping[str, object], begun: datetime) -> bool:
        return any(
            each.moment("from_date") == datetime.fromisoformat(str(body["from_date"]))
            and each.mapping("dag_run_conf") == body["dag_run_conf"]
            for each in self.trigger.backfills(begun)
        )

    def _runs_between(self, first: datetime, last: datetime) -> list[DagRun]:
        query = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat()}
        entries = by_offset(self.trigger.client, path("dags", self.trigger.dag_id, "dagRuns"), "dag_runs", query)
        return [DagRun.read(each) for each in entries]
