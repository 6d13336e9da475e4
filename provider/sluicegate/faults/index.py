"""The XCom key by which the fault of any failed task is found in one listing. Imports no Airflow.

The state store keeps the whole fault, of one task a call; the keys of XComs are listed over all DAGs at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluicegate.faults.redact import redact

__all__ = ["FAULT_XCOM_PREFIX", "FaultKey"]

FAULT_XCOM_PREFIX = "sluicegate_fault"
"""What the key of such an XCom begins with."""

_LONGEST = 200
# A key travels in the path of a URL, which Airflow's client does not quote.
_UNSAFE = re.compile(r"[^\w.:/{}@+=,~-]")
_DOTS = re.compile(r"(?<=/)\.+(?=/|$)")


@dataclass(frozen=True)
class FaultKey:
    """`subject` is what the fault is about, `flights.raw` or `flights.fetch`; empty where that is not known."""

    code: str
    subject: str = ""

    @classmethod
    def of(cls, key: str) -> FaultKey | None:
        """The code and the subject in the key of an XCom; None for any other key."""
        prefix, _, rest = key.partition(":")
        code, _, subject = rest.partition(":")
        return cls(code, subject) if prefix == FAULT_XCOM_PREFIX and code else None

    @property
    def key(self) -> str:
        """At most 200 characters; those that a URL's path does not carry as they are become `_`."""
        words = "".join(redact(self.subject).split())
        subject = _DOTS.sub("_", _UNSAFE.sub("_", words)).strip("/")
        return f"{FAULT_XCOM_PREFIX}:{self.code}:{subject}"[:_LONGEST]
