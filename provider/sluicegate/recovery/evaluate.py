"""What an instance's look in Airflow means for the plan, and what follows. Pure: values in, values out.

The rules:

- The id of a task instance changes with every reset and every try, and the note of a reset survives later tries. So an
  instance with the plan's id and state was not touched; one with another id is this plan's own when it has this plan's
  note, or when the journal knows the answer to its reset; any other one was touched by somebody else.
- What somebody else touched is left alone. The others of its run go, except those that depend on it (by the plan's
  edges, over as many steps as there are): these go only if it is `success` at the moment in which they would be reset.
- The same holds for what failed again and for what is held back itself.
- Airflow resets what failed downstream of an instance that is marked, without a note. Below an instance that this plan
  has marked, another id is therefore this plan's own; where that was in vain (`upstream_failed` again, so it did not
  run), it is reset in its own wave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sluicegate.recovery.definition import Action, InstanceKey, Plan, PlannedInstance
from sluicegate.recovery.layout import Layout
from sluicegate.recovery.progress import Fate, Finding, Outcome, Status
from sluicegate.recovery.site import Seen

__all__ = [
    "STATE_OF",
    "held_back",
    "is_forgotten",
    "is_marked",
    "judge",
    "note",
    "now_of",
    "outcome",
    "resting",
    "sign",
]

STATE_OF = {Action.MARK_SUCCESS: "success", Action.MARK_SKIPPED: "skipped"}
_GOOD = frozenset({"success", "skipped"})
_BAD = frozenset({"failed", "upstream_failed"})
_OVER = ("failed", "upstream_failed", "success", "skipped", "removed")
"""Of a mapped task, the first of these that one of its instances has is that of the task."""
_IN_HANDS = frozenset({"queued", "running", "restarting", "deferred"})
"""An executor or a triggerer has it: the state of its run does not matter at the moment."""
_LONGEST_NOTE = 1000


def sign(plan: str) -> str:
    """How each note of a plan begins."""
    return f"sluicegate recovery {plan}, "


def note(plan: str, wave: int, who: str, reason: str) -> str:
    return f"{sign(plan)}wave {wave + 1}, by {who}: {reason}"[:_LONGEST_NOTE]


def judge(
    planned: PlannedInstance,
    seen: Seen | None,
    *,
    plan: str,
    asked: str | None = None,
    answered: bool = False,
    below_mark: bool = False,
) -> Fate:
    """What an instance is to the plan.

    `asked` is the id for which the journal has an effect without an answer, `answered` whether it has the answer, and
    `below_mark` whether this plan has marked something upstream of it in its run.
    """
    if seen is None:
        return Fate(Status.CHANGED, why="Airflow does not show it any more")
    is_ours = seen.note.startswith(sign(plan))
    if planned.action is not Action.CLEAR:
        if seen.state == STATE_OF[planned.action]:
            return _fate(Status.DONE, seen)
        if is_ours:
            return _fate(Status.CHANGED, seen, "somebody else has set it back")
    elif seen.id != planned.id and (is_ours or answered):
        return _reset(seen)
    elif seen.id != planned.id and below_mark:
        return _reset(seen) if seen.state != "upstream_failed" else _untouched(seen, asked)
    if seen.id != planned.id:
        return _fate(Status.CHANGED, seen, "somebody else has reset it or it has run again")
    if answered:
        return _fate(Status.CHANGED, seen, "Airflow shows it as before this plan's reset")
    if seen.state != planned.state:
        return _fate(Status.CHANGED, seen, f"it is {_word(seen.state)} now and was {_word(planned.state)}")
    return _untouched(seen, asked)


def now_of(key: InstanceKey, seen: Mapping[InstanceKey, Seen]) -> Seen | None:
    """What Airflow shows of an instance; of a mapped task that was not expanded before, what it is expanded to."""
    found = seen.get(key)
    if found is not None or key.index >= 0:
        return found
    parts: list[Seen] = []
    while (part := seen.get(replace(key, index=len(parts)))) is not None:
        parts.append(part)
    if not parts:
        return None
    states = [each.state for each in parts]
    going_on = [state for state in states if state not in _OVER]
    state = going_on[0] if going_on else min(states, key=_OVER.index)
    return replace(parts[0], key=key, state=state)  # Airflow makes the first of what was one


def is_marked(mark: PlannedInstance, seen: Seen | None, *, plan: str, answered: bool = False) -> bool:
    """Whether it was this plan that has marked an instance, and not somebody else."""
    return seen is not None and seen.state == STATE_OF[mark.action] and (answered or seen.note.startswith(sign(plan)))


def held_back(layout: Layout, group: Sequence[int], fates: Mapping[int, Fate]) -> dict[int, Fate]:
    """Of the instances of a run that are reset together, those that must not be: what they depend on is not good.

    What is reset by the same call does not matter: Airflow keeps the order within a run.
    """
    now = {place: fates[place] for place in group}
    found: dict[int, Fate] = {}
    is_new = True
    while is_new:
        is_new = False
        obstacles: dict[int, int | None] = {}
        for place in group:
            if now[place].status is not Status.READY:
                continue
            before = layout.before.get(place, ())  # one collection for all instances of a mapped task
            if id(before) not in obstacles:
                obstacles[id(before)] = next((b for b in before if _is_obstacle(b, now, fates)), None)
            obstacle = obstacles[id(before)]
            if obstacle is not None:
                why = f"{layout.plan.instances[obstacle].key} did not succeed"
                found[place] = now[place] = Fate(Status.HELD_BACK, now[place].id, now[place].state, why)
                is_new = True
    return found


def resting(fate: Fate, dag: str) -> Fate:
    """Of what may be reset, in a DAG in which nothing would run."""
    why = f"{dag} is paused or gone, so nothing would run: unpause it and apply the plan again"
    return Fate(Status.HELD_BACK, fate.id, fate.state, why)


def is_forgotten(fate: Fate) -> bool:
    """Whether an instance under way waits for a scheduler which does not look at it, if its run has ended."""
    return fate.status is Status.UNDER_WAY and fate.state not in _IN_HANDS


def outcome(plan: Plan, fates: Mapping[int, Fate], *, is_finished: bool, warnings: Sequence[str] = ()) -> Outcome:
    def found(status: Status) -> tuple[Finding, ...]:
        chosen = [(place, fate) for place, fate in sorted(fates.items()) if fate.status is status]
        return tuple(Finding(plan.instances[place].key, place, fate.state, fate.why) for place, fate in chosen)

    return Outcome(
        plan=plan.id,
        is_finished=is_finished,
        done=tuple(each.key for each in found(Status.DONE)),
        failed=tuple(sorted(found(Status.FAILED), key=lambda each: each.state != "failed")),
        changed=found(Status.CHANGED),
        held_back=found(Status.HELD_BACK),
        not_reached=tuple(plan.instances[place].key for place, fate in sorted(fates.items()) if fate.goes_on),
        warnings=tuple(warnings),
    )


def _is_obstacle(before: int, now: Mapping[int, Fate], fates: Mapping[int, Fate]) -> bool:
    fate = now.get(before, fates[before])
    return not fate.is_good and not (before in now and fate.goes_on)


def _word(state: str | None) -> str:
    return state or "not started"


def _untouched(seen: Seen, asked: str | None) -> Fate:
    return _fate(Status.UNSURE if asked == seen.id else Status.READY, seen)


def _reset(seen: Seen) -> Fate:
    if seen.state == "removed":
        return _fate(Status.CHANGED, seen, "its task is not in the DAG any more")
    if seen.state in _GOOD:
        return _fate(Status.DONE, seen)
    return _fate(Status.FAILED if seen.state in _BAD else Status.UNDER_WAY, seen)


def _fate(status: Status, seen: Seen, why: str = "") -> Fate:
    return Fate(status, seen.id, seen.state, why)
