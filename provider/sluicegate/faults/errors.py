"""The exceptions: a fault of the catalogue with what happened this time. The type says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sluicegate.faults.catalogue import CATALOGUE, Fault, FaultClass
from sluicegate.faults.redact import redact

__all__ = ["DataFault", "FatalFault", "FaultError", "TransientFault", "fault", "fault_of"]


class FaultError(Exception):
    """One fault that happened. Made by `fault()` or `fault_of()`, which pick the subclass.

    `facts` are JSON values for machines (counts, names, ids); never secrets. `where` is for the log alone: the places
    at which to look first, such as `s3://landing/orders.csv line 5: type:amount 'x'`, which may show values.
    """

    def __init__(self, kind: Fault, detail: str, facts: Mapping[str, object]) -> None:
        super().__init__(kind.code, detail)
        self.fault = kind
        self.detail = detail
        self.facts = dict(facts)
        self.where: tuple[str, ...] = ()
        self.reported = False
        """Whether it is in the log and the state store already."""

    @property
    def code(self) -> str:
        return self.fault.code

    def __str__(self) -> str:
        return f"{self.fault.code} ({self.fault.kind}): {self.detail or self.fault.sentence}"

    def __reduce__(self) -> tuple[object, ...]:
        return (fault_of, (self.fault, self.detail), {"facts": self.facts})


class TransientFault(FaultError):  # noqa: N818 - a fault is the word here
    """Try again."""


class DataFault(FaultError):  # noqa: N818
    """A person has to look at the data; a retry would see the same."""


class FatalFault(FaultError):  # noqa: N818
    """A person has to change something; a retry is a waste."""


_TYPES = {FaultClass.TRANSIENT: TransientFault, FaultClass.DATA: DataFault, FaultClass.FATAL: FatalFault}


def fault(code: str, detail: str = "", **facts: object) -> FaultError:
    """The exception for `code` of the catalogue; secrets that `detail` shows are masked.

    :raises KeyError: when there is no such code.
    """
    return fault_of(CATALOGUE[code], detail, facts)


def fault_of(kind: Fault, detail: str = "", facts: Mapping[str, object] = MappingProxyType({})) -> FaultError:
    """The exception for a fault that need not be in the catalogue: a pipeline may have its own."""
    return _TYPES[kind.kind](kind, redact(detail), facts)
