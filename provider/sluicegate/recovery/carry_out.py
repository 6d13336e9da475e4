"""The carrying out of a plan: wave by wave, each instance at most once, to be stopped and resumed at any moment.

A wave is over when everything that it reset is over; then the queued asset events that it caused a second time are
deleted, and the next wave begins. The first new failure ends it (what is under way goes on in Airflow, and a resume
reads what came of it); with `keep_going` only what depends on it is held back. A failed canary always ends it.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress

from sluicegate.api.errors import ApiError
from sluicegate.recovery.clock import Clock, SystemClock
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey
from sluicegate.recovery.effects import FRESH, Effects
from sluicegate.recovery.evaluate import is_forgotten, now_of, outcome
from sluicegate.recovery.journal import Journal
from sluicegate.recovery.layout import Layout
from sluicegate.recovery.marker import FINISHED, STOPPED, Marker, new_claim
from sluicegate.recovery.progress import Fate, Fates, OnChange, Options, Outcome, Status, View
from sluicegate.recovery.site import Seen, Site

__all__ = ["carry_out"]

_SLOWER = 1.5
_REST = 20
"""How many times as long as a look took there is none."""


def carry_out(
    plan: Plan,
    site: Site,
    journal: Journal,
    options: Options,
    *,
    clock: Clock | None = None,
    on_change: OnChange = lambda _: None,
) -> Outcome:
    """Carry out a plan, or what is left of it.

    A `KeyboardInterrupt` stops it in order: what was reset goes on in Airflow, and the same call resumes it.

    :raises PlanInUse: when somebody else carries out this plan, or one with a DAG in common
    :raises NotPermitted: when Airflow does not permit the user to reset tasks of a DAG, or to write the marker
    :raises ApiError: when Airflow is not reached; what was done until then is known to the next call
    """
    return _CarryOut(plan, site, journal, options, clock or SystemClock(), on_change).run()


class _CarryOut:
    def __init__(
        self, plan: Plan, site: Site, journal: Journal, options: Options, clock: Clock, on_change: OnChange
    ) -> None:
        self._plan = plan
        self._layout = Layout(plan)
        self._site = site
        self._journal = journal
        self._options = options
        self._clock = clock
        self._on_change = on_change
        self._marker: Marker | None = None
        self._effects = Effects(self._layout, site, journal, options, clock, self._beat)
        self._tried: set[int] = set()
        self._warnings: list[str] = []
        self._is_canary = False
        self._failed_before = 0
        self._look_at = 0.0

    @property
    def _fates(self) -> Fates:
        return self._effects.fates

    def run(self) -> Outcome:
        if self._options.marked:
            self._take_marker()
        is_finished = False
        try:
            self._journal.say(self._clock.now(), "started", who=self._options.who, reason=self._options.reason)
            is_finished = all(self._wave(number) for number in range(len(self._layout.groups)))
        except (ApiError, KeyboardInterrupt) as error:
            self._end(STOPPED, getattr(error, "message", "interrupted"))
            raise
        self._end(FINISHED if is_finished else STOPPED, "" if is_finished else "a new failure")
        return outcome(self._plan, self._fates, is_finished=is_finished, warnings=self._warnings)

    # ---- waves ----

    def _wave(self, wave: int) -> bool:
        """Carry out a wave; whether the next one may begin."""
        runs = self._layout.groups[wave]
        left = {run.dag for run in self._most_urgent(wave, runs)}
        self._effects.resting = self._site.resting(left) if left else ()
        canaries = self._layout.canaries(wave, self._tried) if self._options.canary else []
        tried = set(canaries)
        phases = [(canaries, True), ([run for run in runs if run not in tried], False)]
        for chosen, self._is_canary in phases:
            if not self._phase(wave, self._most_urgent(wave, chosen)):
                return False
        if self._marker is None or wave >= self._marker.waves:
            self._drop_events(wave)
        if self._marker is not None:
            self._marker.pass_wave(wave)
        return True

    def _phase(self, wave: int, runs: Iterable[RunKey]) -> bool:
        waiting, flying = deque(runs), dict[RunKey, list[int]]()
        self._failed_before = self._failures()
        pause, self._look_at = self._options.poll, self._clock.monotonic() + self._options.look
        while waiting or flying:
            room = min(self._options.parallel - len(flying), self._options.chunk, len(waiting))
            if room > 0:
                chunk = [waiting.popleft() for _ in range(room)]
                flying |= self._begin(wave, chunk)
            else:
                began = self._clock.monotonic()
                changed = self._watch(wave, flying)
                pause = self._options.poll if changed else min(self._options.longest_poll, _SLOWER * pause)
                # Of thousands under way a look takes longer: Airflow shall not be busy with being looked at.
                pause = min(self._options.longest_poll, max(pause, _REST * (self._clock.monotonic() - began)))
            self._show(wave, waiting, flying)
            if self._must_stop():
                return False
            if flying and (not waiting or len(flying) >= self._options.parallel):
                self._clock.sleep(pause)
        return True

    def _begin(self, wave: int, runs: list[RunKey]) -> dict[RunKey, list[int]]:
        """Read the instances of these runs and do what is to be done; the runs that are then under way."""
        groups = {run: self._layout.groups[wave][run] for run in runs}
        seen = self._site.instances({*groups, *self._obstacles(groups)})
        self._look_at_obstacles(groups, seen)
        for group in groups.values():
            self._effects.look(group, seen)
        for run, group in groups.items():
            if self._must_stop():
                break
            if self._marker is not None:
                self._marker.check(FRESH)
            self._effects.carry_out(wave, run, group)
            self._beat()
        return {run: group for run, group in groups.items() if not self._is_over(run, group)}

    def _watch(self, wave: int, flying: dict[RunKey, list[int]]) -> bool:
        """Look once at what is under way, and let go of what is over; whether something is."""
        self._beat()
        active = set(self._site.active(flying))
        ended = [run for run in flying if run not in active]
        chosen = ended
        if self._clock.monotonic() >= self._look_at:
            chosen, self._look_at = list(flying), self._clock.monotonic() + self._options.look
        if not chosen:
            return False
        seen = self._site.instances(chosen)
        before = len(flying)
        for run in chosen:
            self._effects.look([place for place in flying[run] if self._fates[place].goes_on], seen)
        for run in chosen:
            statuses = {self._fates[place].status for place in flying[run]}
            if statuses & {Status.READY, Status.UNSURE} and not self._must_stop():
                self._effects.carry_out(wave, run, flying[run])
            elif run not in active and any(is_forgotten(self._fates[place]) for place in flying[run]):
                self._effects.requeue(run)
            if self._is_over(run, flying[run]):
                del flying[run]
        return len(flying) < before

    def _is_over(self, run: RunKey, group: list[int]) -> bool:
        """Whether nothing of a run is under way; takes down in the journal what came of it."""
        if any(self._fates[place].goes_on for place in group):
            return False
        over = {
            (self._plan.instances[place].task, self._plan.instances[place].index): self._fates[place].state
            for place in group
            if self._fates[place].status in (Status.DONE, Status.FAILED)
        }
        if over:
            self._journal.over(self._clock.now(), run, over)
        return True

    def _must_stop(self) -> bool:
        if self._options.keep_going and not self._is_canary:
            return False
        return self._failures() > (self._failed_before if self._options.keep_going else 0)

    def _failures(self) -> int:
        return len(self._fates.failed)

    # ---- what a wave needs ----

    def _most_urgent(self, wave: int, runs: Iterable[RunKey]) -> list[RunKey]:
        """The runs of which something is not known to be over and well; first those that an earlier process reset."""
        groups = self._layout.groups[wave]
        left = [run for run in runs if any(self._fates[place].goes_on for place in groups[run])]
        begun = self._journal.asked.keys() | self._journal.answered
        return sorted(left, key=lambda run: all(self._plan.instances[p].key not in begun for p in groups[run]))

    def _obstacles(self, groups: Mapping[RunKey, list[int]]) -> set[RunKey]:
        """The runs of what these depend on and is not good so far: a person may have mended it meanwhile."""
        return {self._plan.instances[place].of for place in self._bad_before(groups)}

    def _look_at_obstacles(self, groups: Mapping[RunKey, list[int]], seen: Mapping[InstanceKey, Seen]) -> None:
        left = [p for p in self._bad_before(groups) if self._fates[p].status is not Status.WAITING]
        for place in left:
            now = now_of(self._plan.instances[place].key, seen)
            fate = self._fates[place]
            if now is not None and now.state == "success":
                self._fates[place] = Fate(Status.CHANGED, now.id, now.state, fate.why or "it failed once more")

    def _bad_before(self, groups: Mapping[RunKey, list[int]]) -> set[int]:
        inside = {place for group in groups.values() for place in group}
        before = {b for place in inside for b in self._layout.before.get(place, ())} - inside
        return {place for place in before if not self._fates[place].is_good}

    def _drop_events(self, wave: int) -> None:
        for event in self._plan.queued_events:
            if event.wave != wave or (event.dag, event.asset_id) in self._journal.dropped:
                continue
            emitters = [self._fates[place].status for place in self._layout.emitters(event)]
            if not emitters or Status.DONE in emitters:
                self._effects.drop(event.dag, event.asset_id)

    # ---- marker, view, end ----

    def _take_marker(self) -> None:
        options = self._options
        claim = new_claim(
            self._plan, self._journal.holder, options.who, socket.gethostname(), options.reason, self._clock.now()
        )
        self._marker = Marker.take(
            self._site, claim, self._clock, self._counts, dead=self._journal.holders, take_over=options.take_over
        )
        if options.take_over:
            self._clock.sleep(options.settle)  # a request of the other process may still be under way

    def _beat(self) -> None:
        if self._marker is not None:
            self._marker.beat(self._options.beat)

    def _counts(self) -> dict[str, int]:
        statuses = [fate.status for fate in self._fates.values()]
        return {each.value: statuses.count(each) for each in Status if each in statuses}

    def _show(self, wave: int, waiting: Iterable[RunKey], flying: Mapping[RunKey, list[int]]) -> None:
        groups = self._layout.groups[wave]
        still = {*waiting, *flying}
        over = [{self._fates[place].status for place in group} for run, group in groups.items() if run not in still]
        failed = sum(Status.FAILED in each for each in over)
        left = sum(not each & {Status.FAILED, Status.DONE} for each in over)
        self._on_change(
            View(
                wave=wave,
                waves=len(self._layout.groups),
                waiting=len(groups) - len(flying) - len(over),
                running=len(flying),
                done=len(over) - failed - left,
                failed=failed,
                left_alone=left,
            )
        )

    def _end(self, state: str, why: str) -> None:
        self._journal.say(self._clock.now(), state, why=why)
        if self._marker is not None:
            with suppress(ApiError):  # it is only a sign for others; the journal has what counts
                self._marker.end(state)
