"""One catalogue of what can go wrong: it decides retry or fail, the words of an alert and the playbook's section."""

from __future__ import annotations

from sluicegate.faults.catalogue import CATALOGUE, Fault, FaultClass
from sluicegate.faults.classify import classify
from sluicegate.faults.errors import DataFault, FatalFault, FaultError, TransientFault, fault

__all__ = [
    "CATALOGUE",
    "DataFault",
    "FatalFault",
    "Fault",
    "FaultClass",
    "FaultError",
    "TransientFault",
    "classify",
    "fault",
]
