"""From any exception to a fault of the catalogue, by type and code, never by imports it does not need."""

from __future__ import annotations

from sluicegate.faults.errors import FaultError, fault

__all__ = ["classify"]


def classify(error: BaseException) -> FaultError:
    """The fault that `error` is. A `FaultError` is returned as it is."""
    if isinstance(error, FaultError):
        return error
    return fault("UNKNOWN", f"{type(error).__name__}: {error}")
