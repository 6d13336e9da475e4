"""The receipt of a run, made of those of its steps when it is read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.ledger.receipts import Receipt, Status

__all__ = ["Instance", "RunReceipt", "StepSummary", "summary"]


@dataclass(frozen=True)
class Instance:
    """A step of a run, or one of those that it was mapped into, with its tries in order."""

    tries: tuple[Receipt, ...]

    @property
    def last(self) -> Receipt:
        return self.tries[-1]

    @property
    def name(self) -> str:
        return self.last.attempt.name


@dataclass(frozen=True)
class StepSummary:
    """A step with all of its instances: what they did together."""

    name: str
    instances: tuple[Instance, ...]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        return _summed(one.last.counts for one in self.instances)

    @cached_property
    def dead_letters(self) -> Mapping[str, int]:
        return _summed(_mapping(one.last.facts.get("dead_letters")) for one in self.instances)

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        return [source for one in self.instances for source in one.last.inputs]

    @property
    def status(self) -> Status:
        return _together([one.last.status for one in self.instances])

    @property
    def is_complete(self) -> bool:
        """Whether it is known what was read: each last try has left its end, and not too much of it for a receipt."""
        return all(_is_complete(one.last.document) for one in self.instances)

    @property
    def fault(self) -> Mapping[str, Any]:
        """That of the first instance that failed."""
        return next((one.last.part("fault") for one in self.instances if one.last.part("fault")), {})

    @property
    def items(self) -> Sequence[Any]:
        return [one.last.document["item"] for one in self.instances if "item" in one.last.document]


@dataclass(frozen=True)
class RunReceipt:
    """All that is kept of a run. A try that did not end and was followed by another one is `lost`."""

    receipts: tuple[Receipt, ...]
    configuration: Mapping[str, Any] | None = None
    """What the pipeline said, key by key; None where that is not known."""

    def __post_init__(self) -> None:
        if not self.receipts:
            raise ValueError("a run without a receipt has none")

    @property
    def pipeline(self) -> str:
        return self.receipts[0].attempt.pipeline

    @property
    def run_id(self) -> str:
        return self.receipts[0].attempt.run_id

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """In the order in which they began."""
        found: dict[tuple[str, int], list[Receipt]] = {}
        for receipt in sorted(self.receipts, key=lambda one: (one.started_at, one.attempt)):
            found.setdefault((receipt.attempt.step, receipt.attempt.map_index), []).append(receipt)
        return tuple(Instance(tuple(_settled(tries))) for tries in found.values())

    @cached_property
    def steps(self) -> Mapping[str, StepSummary]:
        found: dict[str, list[Instance]] = {}
        for instance in self.instances:
            found.setdefault(instance.last.attempt.step, []).append(instance)
        return {name: StepSummary(name, tuple(some)) for name, some in found.items()}

    @property
    def latest(self) -> Receipt:
        """The try that began last: which code and configuration the run ended with."""
        return max(self.receipts, key=lambda one: (one.started_at, one.attempt))

    @property
    def status(self) -> Status:
        return _together([one.last.status for one in self.instances])

    @property
    def window(self) -> Window | None:
        return self.receipts[0].window

    @cached_property
    def timezone(self) -> str:
        """The IANA name of the time zone in which the pipeline has its days."""
        return str(self.receipts[0].document.get("timezone") or "UTC")

    @property
    def started_at(self) -> datetime:
        return min(one.started_at for one in self.receipts)

    @property
    def ended_at(self) -> datetime | None:
        """None as long as a step has not ended."""
        ends = [one.last.ended_at for one in self.instances]
        return None if any(end is None for end in ends) else max(end for end in ends if end is not None)

    @property
    def counts(self) -> Mapping[str, int]:
        return _summed(step.counts for step in self.steps.values())

    @property
    def faults(self) -> Mapping[str, Mapping[str, Any]]:
        """By instance whose last try failed, its fault."""
        return {one.name: one.last.part("fault") for one in self.instances if one.last.status is Status.FAILED}

    @property
    def not_begun(self) -> tuple[str, ...]:
        """Steps of the pipeline of which no try began, as far as its configuration is known."""
        said = {key.split(".")[1].partition("[")[0] for key in self.configuration or {} if key.startswith("steps.")}
        return tuple(sorted(said - self.steps.keys()))

    @property
    def instance_hours(self) -> Mapping[str, float]:
        """Hours of machines of its clusters, by market, those of failed tries included."""
        found: dict[str, float] = {}
        for receipt in self.receipts:
            for cluster in receipt.facts.get("clusters") or ():
                for market, hours in _mapping(_mapping(cluster.get("usage")).get("instance_hours")).items():
                    found[market] = round(found.get(market, 0.0) + float(hours), 4)
        return found


def summary(run: RunReceipt) -> dict[str, Any]:
    """A run for reviewers and programs, as JSON values."""
    latest, window = run.latest.document, run.window
    return {
        "version": 1,
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "status": str(run.status),
        "window": None if window is None else {"start": window.start.isoformat(), "end": window.end.isoformat()},
        "timezone": run.timezone,
        "started_at": run.started_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        **{name: latest.get(name) for name in ("trigger", "dry_run", "force", "params", "code", "packages")},
        "files": latest.get("pipeline"),
        "configuration": {"digest": run.latest.configuration, "keys": run.configuration},
        "counts": dict(run.counts),
        "instance_hours": dict(run.instance_hours),
        "faults": {name: dict(found) for name, found in run.faults.items()},
        "not_begun": list(run.not_begun),
        "steps": [_step(instance) for instance in run.instances],
    }


def _step(instance: Instance) -> dict[str, Any]:
    last = instance.last
    found: dict[str, Any] = {
        "step": last.attempt.step,
        "map_index": last.attempt.map_index,
        "status": str(last.status),
        "operator": last.document.get("operator"),
        "facts": dict(last.facts),
        "tries": [
            {
                "try_number": one.attempt.try_number,
                "status": str(one.status),
                "started_at": one.started_at.isoformat(),
                "ended_at": None if one.ended_at is None else one.ended_at.isoformat(),
                "fault": dict(one.part("fault")) or None,
                "worker": one.document.get("worker"),
            }
            for one in instance.tries
        ],
    }
    more = ("item", "reason", "omitted")
    return found | {name: last.document[name] for name in more if name in last.document}


def _settled(tries: Sequence[Receipt]) -> Iterable[Receipt]:
    """Of a try that another one followed it is known that it has ended.

    In the order in which they began: a run that was deleted and made again counts its tries anew.
    """
    *earlier, last = tries
    for one in earlier:
        is_lost = one.status in {Status.RUNNING, Status.DEFERRED}
        yield replace(one, status=Status.LOST) if is_lost else one
    yield last


def _together(statuses: Sequence[Status]) -> Status:
    for status in (Status.FAILED, Status.LOST):
        if status in statuses:
            return Status.FAILED
    if any(status.is_open for status in statuses):
        return Status.RUNNING
    return Status.SKIPPED if set(statuses) == {Status.SKIPPED} else Status.SUCCEEDED


def _is_complete(document: Mapping[str, Any]) -> bool:
    left_out = ("facts (", "facts.inputs (")
    return "facts" in document and not any(str(one).startswith(left_out) for one in document.get("omitted") or ())


def _summed(many: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in many:
        for name, number in counts.items():
            if isinstance(number, int):
                total[name] += number
    return dict(total)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
