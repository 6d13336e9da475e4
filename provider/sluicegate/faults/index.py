"""The XCom key by which the fault of any failed task is found in one listing. Imports no Airflow.

The state store keeps the whole fault, of one task a call; the keys of XComs are listed over all DAGs at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluicegate.faults.catalogue import CATALOGUE, Fault
from sluicegate.faults.redact import redact

__all__ = ["FAULT_XCOM_PREFIX", "OWN_FAULTS", "FaultKey"]

FAULT_XCOM_PREFIX = "sluicegate_fault"
"""What the key of such an XCom begins with."""

OWN_FAULTS = f"{FAULT_XCOM_PREFIX}:own-"
"""What the key begins with of a fault that is not in the catalogue: `sluicegate_fault:own-data.PARTNER_CLOSED:`."""

_OWN = "own-"
_LONGEST = 200
# A key travels in the path of a URL, which Airflow's client does not quote.
_UNSAFE = re.compile(r"[^\w.:/{}@+=,~-]")
_DOTS = re.compile(r"(?<=/)\.+(?=/|$)")


@dataclass(frozen=True)
class FaultKey:
    """`subject` is what the fault is about, `flights.raw` or `flights.fetch`; empty where that is not known.

    `kind` is the class of a fault that a pipeline has of its own; those of the catalogue are looked up there.
    """

    code: str
    subject: str = ""
    kind: str = ""

    @classmethod
    def to(cls, fault: Fault, subject: str) -> FaultKey:
        return cls(fault.code, subject, "" if fault.code in CATALOGUE else str(fault.kind))

    @classmethod
    def of(cls, key: str) -> FaultKey | None:
        """The code and the subject in the key of an XCom; None for any other key."""
        prefix, _, rest = key.partition(":")
        code, _, subject = rest.partition(":")
        if prefix != FAULT_XCOM_PREFIX or not code:
            return None
        own, _, name = code.partition(".")
        return cls(name, subject, own.removeprefix(_OWN)) if own.startswith(_OWN) else cls(code, subject)

    @property
    def key(self) -> str:
        """At most 200 characters; those that a URL's path does not carry as they are become `_`."""
        words = "".join(redact(self.subject).split())
        subject = _DOTS.sub("_", _UNSAFE.sub("_", words)).strip("/")
        code = f"{_OWN}{self.kind}.{self.code}" if self.kind else self.code
        return f"{FAULT_XCOM_PREFIX}:{code}:{subject}"[:_LONGEST]
