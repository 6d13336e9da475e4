"""Errors of an object store as faults that name the object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault

__all__ = ["faults_of"]


@contextmanager
def faults_of(uri: str) -> Iterator[None]:
    """Every error as a fault that names the object at `uri`."""
    try:
        yield
    except FaultError:
        raise
    except Exception as error:
        found = classify(error)
        raise fault(found.code, f"{uri}: {found.detail}", **{**found.facts, "uri": uri}) from error
