"""A pipeline's own rules: which errors are which fault, in place of what the catalogue says."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sluicegate.faults.catalogue import Fault
from sluicegate.faults.errors import FaultError, fault_of
from sluicegate.faults.shape import chain, summary, type_names

__all__ = ["FaultRule", "own_rules", "ruled"]

_CONTROL = frozenset(
    f"airflow.sdk.exceptions.{name}"
    for name in (
        "AirflowFailException", "AirflowRescheduleException", "AirflowSkipException", "DagRunTriggerException",
        "DownstreamTasksSkipped",
    )
)  # fmt: skip
"""By these a task says how it ends: none is an error to be judged."""


@dataclass(frozen=True)
class FaultRule:
    """`fault` is what an error is that meets all the conditions; None: what it is anyhow, with this `severity`.

    :param error: the import path of an exception, or the code of the fault that it would be otherwise
    :param matches: a regular expression that is found in the error's words
    :param status: HTTP statuses
    """

    fault: Fault | None = None
    error: str | None = None
    matches: str | None = None
    status: tuple[int, ...] = ()
    severity: str | None = None

    def holds(self, link: BaseException, found: FaultError) -> bool:
        """Whether `link`, which is `found` or one of the errors behind it, meets the conditions."""
        if self.error is not None and self.error != found.code and not _is_a(link, self.error):
            return False
        if self.status and found.facts.get("status") not in self.status:
            return False
        # Of a fault what happened alone: its class and its sentence are the catalogue's words.
        words = f"{link.code}: {link.detail}" if isinstance(link, FaultError) else summary(link)
        return self._pattern is None or self._pattern.search(words) is not None

    def of(self, found: FaultError) -> FaultError:
        kind = self.fault or found.fault
        if self.severity is not None:
            kind = Fault(kind.code, kind.kind, kind.sentence, kind.remedy, kind.raised_by, self.severity)
        made = fault_of(kind, found.detail, {**found.facts, "was": found.code})
        made.where = found.where
        return made

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return None if self.matches is None else re.compile(self.matches)


def ruled(error: BaseException, found: FaultError, own: Sequence[FaultRule]) -> FaultError | None:
    """What the first rule that holds makes of `error`; None where none does, or one has already.

    :param found: the fault that it is by the catalogue
    """
    if "was" in found.facts or not _CONTROL.isdisjoint(type_names(error)):
        return None
    links = (*chain(error), found)
    return next((rule.of(found) for rule in own if any(rule.holds(link, found) for link in links)), None)


def own_rules(context: Mapping[str, object] | None) -> tuple[FaultRule, ...]:
    """The rules of the DAG whose task has `context`."""
    found: tuple[FaultRule, ...] = getattr((context or {}).get("dag"), "fault_rules", ())
    return found


def _is_a(error: BaseException, path: str) -> bool:
    """Also by another path at which the class can be imported: what was raised has its module loaded."""
    names = type_names(error)
    module, _, name = path.rpartition(".")
    if path in names or (not module and f"builtins.{path}" in names):
        return True
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)
