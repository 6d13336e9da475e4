"""Why a number changed between two runs: what differs of all that was recorded, what most likely explains it first.

Pure. Each reason is a sentence; nothing is guessed that the receipts do not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.ledger.receipts import Status
from sluicegate.receipts.inputs import input_reasons
from sluicegate.receipts.reason import Kind, Reason, shown
from sluicegate.receipts.run import RunReceipt, StepSummary

__all__ = ["Difference", "difference"]

_WITHOUT_INFLUENCE = (
    "alerts", "data_docs", "description", "faults", "fresh_within", "group", "max_active_runs", "owner", "paused",
    "pool", "pools", "receipts", "retries", "tags", "timeout", "trigger",
)  # fmt: skip
"""Keys that change no record."""
_NOT_RECORDED = (
    "Not recorded are: what was in the tables before, what others wrote into them meanwhile, what a function or a job "
    "reads by itself."
)


@dataclass(frozen=True)
class Difference:
    """`numbers` say what changed, step by step; `reasons` what may explain it; `unknown` what could not be compared."""

    numbers: tuple[str, ...]
    reasons: tuple[Reason, ...]
    unknown: tuple[str, ...] = ()

    @property
    def conclusion(self) -> str:
        """In a sentence what the lists come to."""
        if not self.numbers and not self.reasons:
            return f"Nothing that was recorded differs between the two runs. {_NOT_RECORDED}"
        if not self.reasons:
            return f"The numbers differ, and nothing else that was recorded does. {_NOT_RECORDED}"
        if not self.numbers:
            return "No number differs between the two runs, though this does:"
        return "What differs besides, what most likely explains it first:"

    def as_dict(self) -> dict[str, Any]:
        return {
            "numbers": list(self.numbers),
            "reasons": [{"kind": str(one.kind), "step": one.step, "words": one.words} for one in self.reasons],
            "unknown": list(self.unknown),
            "conclusion": self.conclusion,
        }


def difference(before: RunReceipt, after: RunReceipt) -> Difference:
    """What changed from the run `before` to the run `after`."""
    steps = list(dict.fromkeys([*before.steps, *after.steps]))
    pairs = [(name, before.steps.get(name), after.steps.get(name)) for name in steps]
    numbers = [line for name, old, new in pairs for line in _numbers(name, old, new)]
    reasons = [*_of_runs(before, after), *_of_configuration(before, after), *_of_code(before, after)]
    for name, old, new in pairs:
        if old is not None and new is not None:
            reasons += _of_step(name, old, new)
            if old.is_complete and new.is_complete:
                reasons += [*_of_records(name, old, new), *input_reasons(name, old.inputs, new.inputs)]
    changed = {name: _changed(old, new) for name, old, new in pairs}
    ranked = sorted(reasons, key=lambda one: -one.weight(changed.get(one.step or "", frozenset()), bool(numbers)))
    return Difference(tuple(numbers), tuple(ranked), tuple(_unknown(before, after)))


def _numbers(name: str, old: StepSummary | None, new: StepSummary | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"{name}: {'did not run before' if old is None else 'did not run this time'}"
        return
    if old.status is not new.status:
        yield f"{name}: {old.status} before, {new.status} this time"
    counts = [
        f"{count} {old.counts.get(count, 0):,} → {new.counts.get(count, 0):,} "
        f"({new.counts.get(count, 0) - old.counts.get(count, 0):+,})"
        for count in dict.fromkeys([*old.counts, *new.counts])
        if old.counts.get(count, 0) != new.counts.get(count, 0)
    ]
    if counts:
        yield f"{name}: {', '.join(counts)}"


def _changed(old: StepSummary | None, new: StepSummary | None) -> frozenset[str]:
    """The counts of a step that are not the same."""
    before, after = (old.counts if old else {}), (new.counts if new else {})
    return frozenset(name for name in {*before, *after} if before.get(name, 0) != after.get(name, 0))


def _of_runs(before: RunReceipt, after: RunReceipt) -> Iterator[Reason]:
    old, new = before.latest.document, after.latest.document
    for flag, words in (("dry_run", "a dry run, which keeps nothing"), ("force", "forced to load again")):
        if bool(old.get(flag)) != bool(new.get(flag)):
            which = "the later run" if new.get(flag) else "the earlier run"
            yield Reason(Kind.SWITCH, f"{which} was {words}")
    params, said = before.latest.part("params"), after.latest.part("params")
    for name in dict.fromkeys([*params, *said]):
        if params.get(name) != said.get(name):
            yield Reason(Kind.PARAM, f"the param {name} was {shown(params.get(name))} and is {shown(said.get(name))}")
    lengths = [None if one.window is None else one.window.end - one.window.start for one in (before, after)]
    if None not in lengths and lengths[0] != lengths[1]:
        yield Reason(Kind.WINDOW, f"the window was {lengths[0]} long and is {lengths[1]}")
    yield from _of_packages(before, after)


def _of_packages(before: RunReceipt, after: RunReceipt) -> Iterator[Reason]:
    """The packages of all tries together: a step has those that its own code uses."""
    old, new = _packages(before), _packages(after)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name) and (name in old) is (name in new):
            yield Reason(Kind.PACKAGE, f"the package {name} was {old[name]} and is {new[name]}")
    python = [one.latest.part("worker").get("python") for one in (before, after)]
    if None not in python and python[0] != python[1]:
        yield Reason(Kind.PACKAGE, f"Python was {python[0]} and is {python[1]}")


def _packages(run: RunReceipt) -> dict[str, str]:
    return {name: str(found) for one in run.instances for name, found in one.last.part("packages").items()}


def _of_configuration(before: RunReceipt, after: RunReceipt) -> Iterator[Reason]:
    old, new = before.configuration, after.configuration
    if old is not None and new is not None:
        for key in dict.fromkeys([*old, *new]):
            if old.get(key) != new.get(key):
                first, _, rest = key.partition(".")
                step, _, own = rest.partition(".")
                step = step if first == "steps" else ""
                own = own if step else key
                without = own.partition(".")[0].partition("[")[0] in _WITHOUT_INFLUENCE
                kind = Kind.IDLE_KEY if without else Kind.LIMIT if own.startswith("dead_letters") else Kind.KEY
                yield Reason(kind, _key_words(key, old, new), step or None)
    env, now = (_mapping(one.latest.part("pipeline").get("env")) for one in (before, after))
    for name in sorted({*env, *now}):
        if env.get(name) != now.get(name):
            yield Reason(Kind.ENV, f"the variable {name}, which the pipeline's file asks for, has another value")


def _key_words(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if key not in old:
        return f"`{key}` of the pipeline is {shown(new[key])}; before, it was not there or had its default"
    if key not in new:
        return f"`{key}` of the pipeline was {shown(old[key])}; now it is not there or has its default"
    return f"`{key}` of the pipeline was {shown(old[key])} and is {shown(new[key])}"


def _of_code(before: RunReceipt, after: RunReceipt) -> Iterator[Reason]:
    for name in after.steps.keys() & before.steps.keys():
        step, other = before.steps[name], after.steps[name]
        files, now = _files(step), _files(other)
        # What a try has imported that did not come to its end says nothing of what it would have.
        both_ended_well = step.status is other.status is Status.SUCCEEDED
        for path in sorted({*files, *now} if both_ended_well else files.keys() & now.keys()):
            if files.get(path) != now.get(path):
                word = "is new" if path not in files else "is not used any more" if path not in now else "changed"
                yield Reason(Kind.CODE, f"the code of {name} {word}: {path}", name)
    old, new = before.latest.part("code"), after.latest.part("code")
    for key, words in (("commit", "the commit"), ("version", "the version of the bundle")):
        if old.get(key) != new.get(key) and old.get(key) and new.get(key):
            yield Reason(Kind.COMMIT, f"{words} was {str(old[key])[:12]} and is {str(new[key])[:12]}")
    if old.get("dirty") is not True and new.get("dirty") is True:
        yield Reason(Kind.COMMIT, "the later run had changes that are in no commit")
    elif old.get("dirty") is True and new.get("dirty") is not True:
        yield Reason(Kind.COMMIT, "the earlier run had changes that are in no commit")


def _files(step: StepSummary) -> Mapping[str, Any]:
    return {
        path: found for one in step.instances for path, found in _mapping(one.last.part("code").get("files")).items()
    }


def _of_step(name: str, old: StepSummary, new: StepSummary) -> Iterator[Reason]:
    if old.status is new.status is Status.FAILED and old.fault.get("code") != new.fault.get("code"):
        yield Reason(Kind.FAULT, f"{name} failed in both, the earlier run: {_why(old)}; the later: {_why(new)}", name)
    for which, step, other in (("later", new, old), ("earlier", old, new)):
        if step.status is Status.FAILED and other.status is not Status.FAILED:
            yield Reason(Kind.FAULT, f"{name} failed in the {which} run: {_why(step)}", name)
        elif step.status.is_open and not other.status.is_open:
            yield Reason(Kind.FAULT, f"{name} has not ended in the {which} run", name)
        loaded_by = next((one.last.facts.get("loaded_by") for one in step.instances), None)
        if loaded_by and not any(one.last.facts.get("loaded_by") for one in other.instances):
            words = f"{name} loaded nothing in the {which} run: {loaded_by} had brought in the same version before"
            yield Reason(Kind.REPEATED, words, name)
    if sorted(map(str, old.items)) != sorted(map(str, new.items)):
        yield Reason(Kind.ITEMS, _item_words(name, old, new), name)


def _why(step: StepSummary) -> str:
    if not (fault := step.fault):
        ended = next(
            (one.last.document.get("reason") for one in step.instances if one.last.status is Status.FAILED), None
        )
        return str(ended or "a try did not end")
    return f"{fault.get('code')}: {fault.get('detail')}"


def _of_records(name: str, old: StepSummary, new: StepSummary) -> Iterator[Reason]:
    for rule in dict.fromkeys([*new.dead_letters, *old.dead_letters]):
        was, now = old.dead_letters.get(rule, 0), new.dead_letters.get(rule, 0)
        if was != now:
            more = "more" if now > was else "fewer"
            words = f"{abs(now - was):,} {more} records of {name} are set aside by {rule}: {was:,} → {now:,}"
            yield Reason(Kind.DEAD, words, name)
    drift, drifted = (next((one.last.facts.get("drift") for one in s.instances), None) for s in (old, new))
    if drift != drifted:
        yield Reason(Kind.DRIFT, f"the columns of {name}'s source differ: {shown(drift)} → {shown(drifted)}", name)


def _item_words(name: str, old: StepSummary, new: StepSummary) -> str:
    was, now = set(map(str, old.items)), set(map(str, new.items))
    more = [f"with {', '.join(sorted(now - was)[:5])}"] if now - was else []
    less = [f"without {', '.join(sorted(was - now)[:5])}"] if was - now else []
    return f"{name} ran for {len(new.items):,} items and not for {len(old.items):,}: {', '.join(more + less)}"


def _unknown(before: RunReceipt, after: RunReceipt) -> Iterator[str]:
    for which, run in (("earlier", before), ("later", after)):
        if run.configuration is None:
            yield f"what the pipeline's file said in the {which} run"
        if not run.latest.part("code").get("commit") and not run.latest.part("code").get("version"):
            yield f"the commit of the {which} run's code"
        if any(one.last.document.get("omitted") for one in run.instances):
            yield f"what was left out of the receipts of the {which} run because of its size"
        if open_ := [step.name for step in run.steps.values() if not step.is_complete]:
            yield f"what {', '.join(open_)} read in the {which} run, as the receipt does not say it"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
