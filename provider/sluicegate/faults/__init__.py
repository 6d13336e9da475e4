"""One catalogue of what can go wrong: it decides retry or fail, an alert's words, a playbook's section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.faults.catalogue import CATALOGUE, Fault, FaultClass
from sluicegate.faults.classify import classify
from sluicegate.faults.emr import emr_fault
from sluicegate.faults.errors import DataFault, FatalFault, FaultError, TransientFault, fault
from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    from sluicegate.faults.retry import FaultRetryPolicy

__all__ = [
    "CATALOGUE",
    "DataFault",
    "FatalFault",
    "Fault",
    "FaultClass",
    "FaultError",
    "FaultRetryPolicy",
    "TransientFault",
    "classify",
    "emr_fault",
    "fault",
    "redact",
]


def __getattr__(name: str) -> object:
    # The policy is a class of Airflow's; the command line classifies without Airflow.
    if name == "FaultRetryPolicy":
        from sluicegate.faults.retry import FaultRetryPolicy

        return FaultRetryPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
