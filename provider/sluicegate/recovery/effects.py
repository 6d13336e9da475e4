"""The effects on one run, each with its lines in the journal, and read back where the answer was lost.

An effect is asked for until Airflow shows it, or shows that somebody else was there: never again after it was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from sluicegate.api.errors import ApiError, NotReachable, Refused, UnexpectedAnswer
from sluicegate.recovery.clock import Clock
from sluicegate.recovery.definition import Action, InstanceKey, PlannedInstance, RunKey
from sluicegate.recovery.errors import NotPermitted
from sluicegate.recovery.evaluate import STATE_OF, held_back, is_marked, judge, note, now_of, resting, sign
from sluicegate.recovery.journal import Journal
from sluicegate.recovery.layout import Layout
from sluicegate.recovery.progress import Fate, Fates, Options, Status
from sluicegate.recovery.site import Seen, Site

__all__ = ["FRESH", "Effects"]

FRESH = 5.0
"""Seconds for which what was read before a reset counts as read right before it."""

_ATTEMPTS = 5
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _SERVER_ERROR = 403, 404, 409, 500
_OVER = frozenset({500, 501})
"""Answers after which the server does not work on the request any more; a proxy's 502 or 504 does not mean that."""

Tasks = Mapping[tuple[str, int], str]
"""By task and index, the id that the instance has."""


class Effects:
    """Resets, marks and requeues; `fates` gets what came of it. `breathe` is called while an answer is waited for."""

    def __init__(
        self, layout: Layout, site: Site, journal: Journal, options: Options, clock: Clock, breathe: Callable[[], None]
    ) -> None:
        self._layout = layout
        self._plan = layout.plan
        self._site = site
        self._journal = journal
        self._options = options
        self._clock = clock
        self._breathe = breathe
        self._forbidden: dict[str, str] = {}
        self.resting: Collection[str] = ()
        """DAGs in which nothing would run now."""
        self._looked: dict[RunKey, float] = {}
        self._unsure_until = clock.monotonic() + options.settle
        """Until then a request of an earlier process, or of a lost connection, may still have its effect."""
        self.fates = Fates(
            {
                place: Fate(Status.DONE, state=state)
                if (state := journal.succeeded.get(each.key)) is not None
                else Fate(Status.WAITING)
                for place, each in enumerate(self._plan.instances)
            }
        )

    def look(self, group: Sequence[int], seen: Mapping[InstanceKey, Seen]) -> None:
        """Judge instances anew by what Airflow shows of them now."""
        self._looked.update((self._plan.instances[place].of, self._clock.monotonic()) for place in group)
        for place in group:
            planned = self._plan.instances[place]
            fate = judge(
                planned,
                now_of(planned.key, seen),
                plan=self._plan.id,
                asked=self._journal.asked.get(planned.key),
                answered=planned.key in self._journal.answered,
                below_mark=self._is_below_mark(place, seen),
            )
            self._note(place, fate)

    def carry_out(self, wave: int, run: RunKey, group: Sequence[int]) -> None:
        """Mark and reset what is ready in a run; everything that is still unsure is made sure first."""
        if run.dag in self._forbidden:
            self._forbid(group, self._forbidden[run.dag])
            return
        if self._clock.monotonic() - self._looked[run] > FRESH:
            self.look(group, self._site.instances([run]))
        self._make_sure(run, group)
        if run.dag in self.resting:
            self._rest(group)
            return
        self._hold_back(group)
        marks = [place for place in group if self._plan.instances[place].action is not Action.CLEAR]
        marks = [place for place in marks if self._is_ready(place)]
        for place in marks:
            self._effect("mark", wave, run, [place], group)
        if marks:
            seen = self._site.instances([run])
            self.look(group, seen)
            self._annotate(wave, group, seen)
            self._hold_back(group)
        if self._is_marked(group) and run not in self._journal.requeued and run not in self._site.active([run]):
            self.requeue(run)  # so that Airflow computes its state anew
        clears = [place for place in group if self._plan.instances[place].action is Action.CLEAR]
        self._effect("clear", wave, run, clears, group)

    def requeue(self, run: RunKey) -> None:
        """Let the scheduler look at a run that has ended while something in it has still to run. Twice is as once."""
        self._journal.ask(self._clock.now(), "requeue", run, {}, -1)
        self._repeated(lambda: self._site.requeue(run))
        self._journal.answer(self._clock.now(), "requeue", run, ())

    def drop(self, dag: str, asset_id: int) -> None:
        """Delete a queued asset event. Twice is as once, as long as the wave after it has not begun."""
        self._journal.dropping(self._clock.now(), dag, asset_id, is_done=False)
        self._repeated(lambda: self._site.drop_queued_event(dag, asset_id))
        self._journal.dropping(self._clock.now(), dag, asset_id, is_done=True)

    def _annotate(self, wave: int, group: Sequence[int], seen: Mapping[InstanceKey, Seen]) -> None:
        """Put the note on what Airflow has reset below a mark, too."""
        words = note(self._plan.id, wave, self._options.who, self._options.reason)
        for place in group:
            key = self._plan.instances[place].key
            fate = self.fates[place]
            is_reset = self._is_below_mark(place, seen) and fate.status not in (Status.READY, Status.CHANGED)
            if is_reset and not seen[key].note.startswith(sign(self._plan.id)):
                self._repeated(lambda key=key: self._site.annotate(key, words))  # type: ignore[misc]

    def _effect(self, what: str, wave: int, run: RunKey, places: Sequence[int], group: Sequence[int]) -> None:
        """Ask for an effect on those of `places` that are ready, until each is done or not ready any more."""
        trouble: ApiError | None = None
        for _ in range(_ATTEMPTS):
            ready = [place for place in places if self._is_ready(place)]
            if not ready:
                return
            tasks = {self._task(place): self.fates[place].id for place in ready}
            try:
                self._force(run, ready)
                self._journal.ask(self._clock.now(), what, run, tasks, wave)
                done = self._ask(what, wave, run, ready)
            except ApiError as error:
                trouble = error
                if not self._is_settled(error, what, run, tasks, group):
                    return
                continue
            self._journal.answer(self._clock.now(), what, run, done)
            self._take(what, ready, done)
            return
        assert trouble is not None
        if _is_lost(trouble):
            raise trouble
        for place in filter(self._is_ready, places):
            self._note(place, Fate(Status.CHANGED, why=f"Airflow refuses it: {trouble.message}"))

    def _ask(self, what: str, wave: int, run: RunKey, places: Sequence[int]) -> Collection[tuple[str, int]]:
        words = note(self._plan.id, wave, self._options.who, self._options.reason)
        planned = [self._plan.instances[place] for place in places]
        if what == "mark":
            for each in planned:
                self._site.mark(each.key, STATE_OF[each.action], words)
            return list(map(self._task, places))
        running = any(each.state == "running" for each in planned)
        return self._site.clear(
            run, list(map(self._task, places)), words, even_running=running, latest=self._options.latest_version
        )

    def _is_settled(self, error: ApiError, what: str, run: RunKey, tasks: Tasks, group: Sequence[int]) -> bool:
        """Find out what became of an effect that has failed; whether it may be tried again.

        :raises ApiError: where that would be no use
        """
        if _is_lost(error):
            if _may_come(error):
                self._unsure_until = self._clock.monotonic() + self._options.settle
            self.look(group, self._site.instances([run]))
            self._make_sure(run, group)
            self._hold_back(group)
            return True
        self._journal.refuse(self._clock.now(), what, run, tasks, error.message)
        if isinstance(error, Refused) and error.status == _FORBIDDEN:
            self._forbidden[run.dag] = error.message
            self._forbid(group, error.message)
            return False
        if isinstance(error, Refused) and error.status in (_CONFLICT, _NOT_FOUND):
            self._pause()
            self.look(group, self._site.instances([run]))
            self._hold_back(group)
            return True
        raise error

    def _make_sure(self, run: RunKey, group: Sequence[int]) -> None:
        """Look until nothing is unsure. What Airflow does not show after `settle` seconds has not happened."""
        while any(self.fates[place].status is Status.UNSURE for place in group):
            if self._clock.monotonic() >= self._unsure_until:
                for place in group:
                    if self.fates[place].status is Status.UNSURE:
                        self.fates[place] = Fate(Status.READY, self.fates[place].id, self.fates[place].state)
                return
            self._pause()
            self.look(group, self._site.instances([run]))

    def _hold_back(self, group: Sequence[int]) -> None:
        for place, fate in held_back(self._layout, group, self.fates).items():
            self._note(place, fate)

    def _force(self, run: RunKey, places: Sequence[int]) -> None:
        forced = [place for place in places if self._plan.instances[place].force]
        if not forced:
            return
        tasks = {self._task(place): self.fates[place].id for place in forced}
        self._journal.ask(self._clock.now(), "force", run, tasks, -1)
        for place in forced:
            self._repeated(lambda place=place: self._site.force(self._plan.instances[place].key, self._plan.id))  # type: ignore[misc]
        self._journal.answer(self._clock.now(), "force", run, tasks)

    def _repeated(self, do: Callable[[], None]) -> None:
        """Do what may be done twice; again after a lost answer, once the lost request cannot come in between later."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                do()
            except ApiError as error:
                if not _is_lost(error) or not left:
                    raise
                until = self._clock.monotonic() + (self._options.settle if _may_come(error) else 0)
                self._pause()
                while self._clock.monotonic() < until:
                    self._pause()
            else:
                return

    def _take(self, what: str, ready: Sequence[int], done: Collection[tuple[str, int]]) -> None:
        done = set(done)
        for place in ready:
            planned = self._plan.instances[place]
            if self._task(place) not in done:
                self._note(place, Fate(Status.CHANGED, why="Airflow did not reset it"))
            elif what == "mark":
                self._note(place, Fate(Status.DONE, self.fates[place].id, STATE_OF[planned.action]))
            else:
                self._note(place, Fate(Status.UNDER_WAY))

    def _forbid(self, group: Sequence[int], why: str) -> None:
        dag = self._plan.instances[group[0]].dag
        if not self._options.skip_forbidden:
            raise NotPermitted(
                f"Airflow does not permit you to reset tasks of {dag}: {why}",
                "Ask for that right and apply the plan again; --skip-forbidden leaves such DAGs alone.",
            )
        for place in group:
            if self.fates[place].status in (Status.READY, Status.UNSURE):
                self._note(place, Fate(Status.HELD_BACK, why=f"you are not permitted to reset tasks of {dag}"))

    def _rest(self, group: Sequence[int]) -> None:
        for place in filter(self._is_ready, group):
            self._note(place, resting(self.fates[place], self._plan.instances[place].dag))

    def _note(self, place: int, fate: Fate) -> None:
        """Take down a fate; in the journal too, the first time that the instance is left alone."""
        before = self.fates[place].status
        self.fates[place] = fate
        if fate.status in (Status.CHANGED, Status.HELD_BACK) and fate.status is not before:
            self._journal.leave(self._clock.now(), self._plan.instances[place].key, fate.why)

    def _is_below_mark(self, place: int, seen: Mapping[InstanceKey, Seen]) -> bool:
        marks = [self._plan.instances[mark] for mark in self._layout.marks_above.get(place, ())]
        answered = self._journal.answered
        return any(
            is_marked(mark, seen.get(mark.key), plan=self._plan.id, answered=mark.key in answered) for mark in marks
        )

    def _is_marked(self, group: Sequence[int]) -> bool:
        marks = [place for place in group if self._plan.instances[place].action is not Action.CLEAR]
        return any(self.fates[place].status is Status.DONE for place in marks)

    def _is_ready(self, place: int) -> bool:
        return self.fates[place].status is Status.READY

    def _task(self, place: int) -> tuple[str, int]:
        planned: PlannedInstance = self._plan.instances[place]
        return planned.task, planned.index

    def _pause(self) -> None:
        self._clock.sleep(self._options.poll)
        self._breathe()


def _is_lost(error: ApiError) -> bool:
    """Whether what was asked for may have happened."""
    is_servers = isinstance(error, Refused) and error.status >= _SERVER_ERROR
    return is_servers or isinstance(error, NotReachable | UnexpectedAnswer)


def _may_come(error: ApiError) -> bool:
    """Whether it may still happen, because the server works on it."""
    return _is_lost(error) and not (isinstance(error, Refused) and error.status in _OVER)
