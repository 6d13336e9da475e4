"""The marker of a plan: a Variable in Airflow itself, so that two operators on two machines do not work at once.

Airflow cannot create a Variable for one caller only (it looks, and then it writes), so each process has a marker with
a name of its own, `<plan id>_<holder>`: it writes its own first and then reads all. Of two at once at least one sees
the other, and withdraws. A process that takes over deletes the other's marker; before each chunk, and with each sign
of life, a process looks whether its own is still there, and ends if it is not.

What it excludes: two operators with one plan, or with plans that have a DAG in common, from any number of machines.
What it cannot exclude: somebody who clears a task in the UI between the moment in which its id was read and its reset
(some tenths of a second); and, where an operator takes over while the other process lives, one request of that
process which takes longer than `settle`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sluicegate.api.errors import Refused
from sluicegate.recovery.clock import Clock
from sluicegate.recovery.definition import Plan
from sluicegate.recovery.errors import NotPermitted, PlanInUse
from sluicegate.recovery.site import Site

__all__ = ["FINISHED", "RUNNING", "STOPPED", "Claim", "Marker", "claims", "is_silent", "new_claim"]

ValueT = TypeVar("ValueT")

RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"
_FORBIDDEN = 403
_KEPT = 50
"""Markers of finished plans that stay, for `recover status`."""


@dataclass(frozen=True)
class Claim:
    """The content of a marker."""

    plan: str
    state: str
    holder: str
    who: str
    host: str
    reason: str
    since: str
    seen: str
    dags: tuple[str, ...] = ()
    waves: int = 0
    """Waves that are over, with the queued asset events that were to go after them."""
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        return f"{self.plan}_{self.holder}"

    def text(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, name: str, text: str) -> Claim | None:
        """The claim in a marker, or None where the marker is not one."""
        try:
            found: Any = json.loads(text)
            claim = cls(**{**found, "dags": tuple(found["dags"])})
        except (ValueError, KeyError, TypeError):
            return None
        return claim if claim.name == name else None

    def conflicts_with(self, other: Claim) -> bool:
        """Whether two processes with these claims must not work at once."""
        return other.state == RUNNING and (other.plan == self.plan or not set(self.dags).isdisjoint(other.dags))

    def __str__(self) -> str:
        return f"{self.who} on {self.host} since {self.since}, last seen {self.seen} (reason: {self.reason})"


def claims(site: Site) -> dict[str, Claim]:
    """By plan, its newest claim; one that is running comes before any other.

    :raises NotPermitted: when the user is not permitted to read Variables
    """
    found: dict[str, Claim] = {}
    for claim in _permitted(lambda: list(_all_claims(site))):
        last = found.get(claim.plan)
        if last is None or (last.state == RUNNING, last.seen) < (claim.state == RUNNING, claim.seen):
            found[claim.plan] = claim
    return found


class Marker:
    """Holds the marker of one plan. `counts` is asked for what to write into it."""

    def __init__(self, site: Site, claim: Claim, clock: Clock, counts: Callable[[], Mapping[str, int]]) -> None:
        self._site = site
        self._claim = claim
        self._clock = clock
        self._counts = counts
        self._beaten = self._checked = clock.monotonic()

    @classmethod
    def take(
        cls,
        site: Site,
        claim: Claim,
        clock: Clock,
        counts: Callable[[], Mapping[str, int]],
        *,
        dead: Collection[str] = (),
        take_over: bool = False,
    ) -> Marker:
        """Make the marker of `claim`'s plan, in place of those of the holders in `dead`, which ran on this machine.

        :raises PlanInUse: when somebody else has the plan, or one with a DAG in common; not with `take_over`
        :raises NotPermitted: when the user is not permitted to write Variables
        """
        _permitted(lambda: site.create_marker(claim.name, claim.text()))
        others = [other for other in _all_claims(site) if other.holder != claim.holder]
        obstacles = [other for other in others if claim.conflicts_with(other)]
        alive = [other for other in obstacles if other.holder not in dead or other.host != claim.host]
        if alive and not take_over:
            site.delete_marker(claim.name)
            raise _in_use(claim, alive[0])
        for other in obstacles:
            if other.plan != claim.plan:  # its own operator shall see what became of it
                ended = replace(other, state=STOPPED, holder=f"{other.holder}-{claim.holder}")
                site.create_marker(ended.name, ended.text())
        finished = sorted((each for each in others if each.state == FINISHED), key=lambda each: each.seen)
        for old in {*obstacles, *(each for each in others if each.plan == claim.plan), *finished[:-_KEPT]}:
            site.delete_marker(old.name)
        waves = max((each.waves for each in others if each.plan == claim.plan), default=0)
        return cls(site, replace(claim, waves=waves), clock, counts)

    @property
    def waves(self) -> int:
        """How many waves are over, by this process or one before it."""
        return self._claim.waves

    def pass_wave(self, wave: int) -> None:
        """Take down that a wave (from 0) is over."""
        if wave >= self.waves:
            self.check()
            self._claim = replace(self._claim, waves=wave + 1)
            self._write(RUNNING)

    def check(self, every: float = 0.0) -> None:
        """Look whether the marker is still one's own, if that was last seen more than `every` seconds ago.

        :raises PlanInUse: when somebody else has it now
        """
        if self._clock.monotonic() - self._checked < every:
            return
        self._checked = self._clock.monotonic()
        found = self._site.marker(self._claim.name)
        claim = Claim.read(self._claim.name, found) if found is not None else None
        if claim is None or claim.holder != self._claim.holder or claim.state != RUNNING:
            raise PlanInUse(
                f"Somebody else has taken over {self._claim.plan}.",
                "`sluicegate recover status` says who; nothing more was reset from here.",
            )

    def beat(self, every: float) -> None:
        """Give a sign of life, if the last one is older than `every` seconds."""
        if self._clock.monotonic() - self._beaten >= every:
            self.check()
            self._write(RUNNING)

    def end(self, state: str) -> None:
        """Leave the marker as `stopped` or `finished`; does nothing where somebody else has it now."""
        with suppress(PlanInUse):
            self.check()
            self._write(state)

    def _write(self, state: str) -> None:
        claim = replace(self._claim, state=state, seen=_text(self._clock.now()), counts=dict(self._counts()))
        self._site.write_marker(claim.name, claim.text())
        self._beaten = self._clock.monotonic()


def new_claim(plan: Plan, holder: str, who: str, host: str, reason: str, now: datetime) -> Claim:
    moment = _text(now)
    return Claim(plan.id, RUNNING, holder, who, host, reason, moment, moment, plan.dags)


def _permitted(do: Callable[[], ValueT]) -> ValueT:
    try:
        return do()
    except Refused as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        raise NotPermitted(
            f"Airflow does not permit you to read and write Variables, by which operators keep out of each other's "
            f"way: {refusal.message}",
            "Ask for that right (the role Op has it); or, if you are the only operator, apply --without-marker.",
        ) from refusal


def _all_claims(site: Site) -> Iterator[Claim]:
    for name, text in site.markers().items():
        claim = Claim.read(name, text)
        if claim is not None:
            yield claim


def _in_use(mine: Claim, other: Claim) -> PlanInUse:
    common = sorted(set(other.dags) & set(mine.dags))
    dags = f"{', '.join(common[:5])}{' …' if len(common) > 5 else ''}"
    what = mine.plan if other.plan == mine.plan else f"{other.plan}, which has {dags} in common with {mine.plan},"
    return PlanInUse(
        f"{what} is being carried out by {other}.",
        "Wait for it; if that process is dead, resume that plan where its journal is, or add --take-over.",
    )


def _text(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()


def is_silent(claim: Claim, now: datetime, after: float = 180.0) -> bool:
    """Whether a running claim has given no sign of life for so many seconds: its process may be dead."""
    try:
        seen = datetime.fromisoformat(claim.seen)
    except ValueError:
        return True
    return claim.state == RUNNING and now - seen > timedelta(seconds=after)
