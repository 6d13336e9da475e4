"""What a plan is asked for: filters that combine, and what is to be done with what they find."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from sluicegate.faults.catalogue import CATALOGUE, FaultClass
from sluicegate.pipeline.diagnostics import did_you_mean
from sluicegate.recovery.definition import RunKey
from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.night import OURS

__all__ = ["Request", "Treatment", "moment", "run_key", "window_of"]


class Treatment(StrEnum):
    """What is done with the failures that were found."""

    RESET = "reset"
    SUCCEED = "mark-success"
    SKIP = "skip"


@dataclass(frozen=True)
class Request:
    """Filters of different kinds narrow each other; values of one kind widen each other. Moments are in UTC.

    :param pipelines: names of DAGs, or globs
    :param window: failures of runs whose window begins in it, `[start, end)`
    :param failed_since: only what has failed since then
    :param tasks: globs of task ids; of what failed, not of what follows
    :param faults: codes and classes of the catalogue
    :param kinds: only failures of these kinds of steps of ours: `spark`, `load`, `wait` and so on
    :param started_before: only what has started its last try before then
    :param runs: only these
    :param include_running: also what runs or waits, which is stopped and begins anew
    :param force: steps of ours do their work even where it is done
    :param source: restate what read this dataset (`flights.raw`), or what this pipeline wrote (`flights`)
    :param downstream: also what reads what they write, and so on
    :param include: globs of `dag.task`: steps with effects outside to run again in a restatement
    :param afterwards: commands for a person to run once the plan is done; they are only shown
    """

    pipelines: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    window: tuple[datetime, datetime] | None = None
    failed_since: datetime | None = None
    tasks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    started_before: datetime | None = None
    runs: tuple[RunKey, ...] = ()
    include_running: bool = False
    treatment: Treatment = Treatment.RESET
    force: bool = False
    source: str | None = None
    downstream: bool = False
    include: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """:raises WrongRequest: for a fault, a class or a kind of step that there is not"""
        classes = {str(each) for each in FaultClass}
        known = CATALOGUE.keys() | classes
        # A pipeline may have faults of its own, which are not known here: what looks like a slip is one.
        strange = (each for each in self.faults if not _OWN_FAULT.fullmatch(each) or did_you_mean(each, known))
        _check_words("fault", strange, known)
        _check_words("kind of step", self.kinds, set(OURS.values()))

    def words(self) -> Mapping[str, object]:
        """What differs from asking for everything that failed, as JSON values."""
        found: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value == each.default:
                continue
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, tuple):
                value = [part.isoformat() if isinstance(part, datetime) else str(part) for part in value]
            found[each.name] = value if isinstance(value, bool | list) else str(value)
        return found

    @property
    def narrows(self) -> bool:
        """Whether anything that failed may have been left out."""
        filters = (
            self.pipelines, self.owners, self.tags, self.window, self.failed_since, self.tasks, self.faults, self.kinds,
            self.started_before, self.runs,
        )  # fmt: skip
        return any(filters)

    def names(self, dag: str) -> bool:
        """Whether the pipelines that are asked for contain `dag`."""
        return not self.pipelines or any(fnmatchcase(dag, each) for each in self.pipelines)


_OWN_FAULT = re.compile(r"[A-Z][A-Z0-9_]*")


def _check_words(what: str, words: Iterable[str], known: Collection[str]) -> None:
    for word in words:
        if word not in known:
            choices = f"Known: {', '.join(sorted(known))}."
            raise WrongRequest.unknown(f"There is no {what} {word}.", word, known, choices)


def moment(text: str, now: datetime) -> datetime:
    """`2026-01-05`, `2026-01-05T02:00`, or a time ago: `12h`, `3d`, `90m`. Without a zone it is UTC.

    :raises WrongRequest: for anything else
    """
    unit = {"m": "minutes", "h": "hours", "d": "days"}.get(text[-1:])
    if unit is not None and text[:-1].isdigit():
        try:
            return now - timedelta(**{unit: int(text[:-1])})
        except (OverflowError, ValueError):
            raise WrongRequest(
                f"Not a time: {text!r} is before there were any.", "Write how long ago: 12h, 3d."
            ) from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WrongRequest(
            f"Not a time: {text!r}.", "Write 2026-01-05, 2026-01-05T02:00 or how long ago: 90m, 12h, 3d."
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def window_of(text: str) -> tuple[datetime, datetime]:
    """`2026-01-01..2026-01-07`, both days included, or one day; with times, the end is excluded. Without a zone it is
    UTC, in days too.

    :raises WrongRequest: for anything else, and when it ends before it begins
    """
    first, dots, last = text.partition("..")
    start, end = _bound(first, text), _bound(last if dots else first, text)
    if _is_day(last if dots else first):
        end = datetime.combine(min(end.date(), date.max - timedelta(days=1)) + timedelta(days=1), time(), UTC)
    if end <= start:
        raise WrongRequest(f"The window {text} ends before it begins.", "Write the earlier day first.")
    return start, end


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _bound(text: str, whole: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WrongRequest(
            f"Not a window: {whole!r}.",
            "Write 2026-01-01..2026-01-07, or one day, or times: 2026-01-01T00:00..2026-01-01T06:00.",
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def run_key(text: str) -> RunKey:
    """`dag/run id` as a key.

    :raises WrongRequest: for anything else
    """
    dag, slash, run = text.partition("/")
    if not (dag and slash and run):
        raise WrongRequest(f"Not a run: {text!r}.", "Write flights/scheduled__2026-01-05T00:00:00+00:00.")
    return RunKey(dag, run)
