"""The rules of a pipeline's `faults:` as its tasks use them."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.faults.catalogue import CATALOGUE, Fault, FaultClass
from sluicegate.faults.rules import FaultRule
from sluicegate.pipeline.keys.faults import OwnFault
from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["fault_rules", "known_faults"]


def fault_rules(pipeline: Pipeline) -> tuple[FaultRule, ...]:
    """In their order; those whose fault does not exist are left out, they have their diagnostic."""
    known = known_faults(pipeline)
    return tuple(
        FaultRule(known[rule.is_.code] if rule.is_ else None, rule.error, rule.matches, rule.status, rule.severity)
        for rule in pipeline.faults
        if rule.is_ is None or rule.is_.code in known
    )


def known_faults(pipeline: Pipeline) -> Mapping[str, Fault]:
    """By code, the faults of the catalogue and those of the pipeline's own."""
    own = (_own(rule.is_) for rule in pipeline.faults if rule.is_ is not None)
    return {each.code: each for each in own if each is not None} | dict(CATALOGUE)


def _own(said: OwnFault) -> Fault | None:
    if said.class_ is None or said.sentence is None or said.remedy is None:
        return None
    return Fault(said.code, FaultClass(said.class_), said.sentence, said.remedy, frozenset())
