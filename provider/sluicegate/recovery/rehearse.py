"""What carrying out a plan would do now, without doing it: the ids are read, and each wave is taken to succeed."""

from __future__ import annotations

from sluicegate.recovery.definition import Plan
from sluicegate.recovery.evaluate import held_back, is_marked, judge, now_of, outcome, resting
from sluicegate.recovery.layout import Layout
from sluicegate.recovery.progress import Fate, Options, Outcome, Status
from sluicegate.recovery.site import Site

__all__ = ["rehearse"]


def rehearse(plan: Plan, site: Site, options: Options) -> Outcome:
    """An outcome in which `not_reached` is what would be reset or is under way; nothing is changed."""
    layout = Layout(plan)
    fates = {place: Fate(Status.WAITING) for place in range(len(plan.instances))}
    shown = dict(fates)
    for groups in layout.groups:
        runs = list(groups)
        asleep = site.resting({run.dag for run in runs})
        for start in range(0, len(runs), options.chunk):
            chunk = runs[start : start + options.chunk]
            seen = site.instances(chunk)
            for run in chunk:
                group = groups[run]
                for place in group:
                    planned = plan.instances[place]
                    marks = [plan.instances[mark] for mark in layout.marks_above.get(place, ())]
                    below = any(is_marked(mark, seen.get(mark.key), plan=plan.id) for mark in marks)
                    fates[place] = judge(planned, now_of(planned.key, seen), plan=plan.id, below_mark=below)
                if run.dag in asleep:
                    ready = [place for place in group if fates[place].status is Status.READY]
                    fates |= {place: resting(fates[place], run.dag) for place in ready}
                fates |= held_back(layout, group, fates)
                for place in group:
                    shown[place] = fates[place]
                    if fates[place].goes_on:
                        fates[place] = Fate(Status.DONE)
    return outcome(plan, shown, is_finished=True)
