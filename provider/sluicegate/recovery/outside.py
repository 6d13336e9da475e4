"""What failed and is not in a plan, although something in it waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

from sluicegate.recovery.chosen import Chosen
from sluicegate.recovery.night import FAILED, Awaited, Details, Night, Run

__all__ = ["failures_outside"]

_MOST_ASKED = 50
"""DAGs that are asked for their tasks: a warning is not worth a call for each of a thousand."""


def failures_outside(chosen: Chosen, night: Night, details: Details) -> list[str]:
    """Where something chosen waits for what failed and is not chosen, it would wait in vain."""
    failed = {
        key: night.runs[key.of].logical_date
        for key, each in night.instances.items()
        if each.state in FAILED and key not in chosen.choices
    }
    dates: dict[str, list[tuple[str, datetime]]] = {}
    for key, date in chain(failed.items(), night.outside.items()):
        if date is not None and key not in chosen.choices:
            dates.setdefault(key.dag, []).append((key.task, date))
    outside: dict[str, set[str]] = {}
    for key, choice in chosen.choices.items():
        awaited = choice.instance.awaited
        if awaited is None:
            continue
        for task, date in dates.get(awaited.dag, ()):
            if (awaited.tasks is None or task in awaited.tasks) and _is_awaited(date, awaited, night.runs[key.of]):
                outside.setdefault(f"{awaited.dag}.{task}", set()).add(key.dag)
    vain = [
        f"{what} failed and is not in the plan: {_few(sorted(dags))} would wait for it in vain"
        for what, dags in sorted(outside.items())
    ]
    return [*vain, *_past_outside(chosen, night, details, dates)]


def _is_awaited(date: datetime, awaited: Awaited, own: Run) -> bool:
    """Of a sensor that does not say at which date it looks, the run of its own date is taken to be meant."""
    if awaited.runs is None or awaited.runs.dates is None:
        return date == own.logical_date
    return date in awaited.runs


def _past_outside(
    chosen: Chosen, night: Night, details: Details, dates: Mapping[str, Sequence[tuple[str, datetime]]]
) -> Iterator[str]:
    """Failures of earlier runs, for which a task that depends on its past would wait."""
    first: dict[str, dict[str, datetime]] = {}
    asked = dates.keys() & {key.dag for key in chosen.choices}
    for dag in sorted(asked) if len(asked) <= _MOST_ASKED else ():
        bound = {name for name, task in details.tasks(dag).items() if task.depends_on_past or task.wait_for_downstream}
        for task, date in dates[dag]:
            if task in bound:
                known = first.setdefault(dag, {})
                known[task] = min(date, known.get(task, date))
    found: dict[tuple[str, str], int] = {}
    for key in chosen.choices:
        own = night.runs[key.of].logical_date
        begin = first.get(key.dag, {}).get(key.task)
        if begin is not None and own is not None and begin < own:
            found[key.dag, key.task] = found.get((key.dag, key.task), 0) + 1
    for (dag, task), runs in sorted(found.items()):
        yield (
            f"{dag}.{task} failed at {first[dag][task]:%Y-%m-%d %H:%M} UTC as well and is not in the plan: it depends "
            f"on its past, so {'1 later run' if runs == 1 else f'{runs} later runs'} would wait for that in vain"
        )


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
