"""What is wrong with the rules of `faults:`: codes that do not exist, own faults that say too little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sluicegate.factory.fault_rules import known_faults
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.faults.catalogue import CATALOGUE, Fault
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.faults import OwnFault
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.read.faults import is_code

__all__ = ["fault_diagnostics"]

_NEW = ("class", "sentence", "remedy")


def fault_diagnostics(pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    known = known_faults(pipeline)
    seen: dict[str, OwnFault] = {}
    for rule in pipeline.faults:
        at: Where = ("faults", rule.place)
        if rule.error is not None and is_code(rule.error):
            yield from _code(rule.error, known, (*at, "error"))
        if rule.is_ is not None:
            yield from _fault(rule.is_, known, seen, (*at, "is"))


def _fault(
    said: OwnFault, known: Mapping[str, Fault], seen: dict[str, OwnFault], at: Where
) -> Iterator[UnplacedDiagnostic]:
    values = (said.class_, said.sentence, said.remedy)
    lacking = [name for name, value in zip(_NEW, values, strict=True) if value is None]
    if len(lacking) == len(_NEW):
        yield from _code(said.code, known, at)
    elif said.code in CATALOGUE:
        message = f"{said.code} is a fault of the catalogue: give its code alone, or a code of your own to yours"
        yield UnplacedDiagnostic(at, "fault", message)
    elif not is_code(said.code):
        message = f"`{said.code}` is not a code: expected capitals, digits and `_`, such as PARTNER_CLOSED"
        yield UnplacedDiagnostic((*at, "code"), "fault", message)
    elif lacking:
        names = ", ".join(f"`{name}`" for name in lacking)
        yield UnplacedDiagnostic(at, "missing-key", f"{said.code} is new, and needs {names} too")
    elif seen.setdefault(said.code, said) != said:
        message = f"{said.code} is said twice, and differently: say it once, and give its code alone elsewhere"
        yield UnplacedDiagnostic(at, "fault", message)


def _code(code: str, known: Mapping[str, Fault], at: Where) -> Iterator[UnplacedDiagnostic]:
    if code not in known:
        meant = did_you_mean(code.upper(), known)
        hint = "a fault of your own needs `code`, `class`, `sentence` and `remedy`"
        yield UnplacedDiagnostic(at, "fault", f"there is no fault {code} in the catalogue: {hint}", suggestion=meant)
