"""What a fault is about, in the words that all pipelines share: alerts with one cause are grouped by it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from sluicegate.faults import FaultError

__all__ = ["subject_of"]

_SAID = ("upstream", "connection", "host", "circuit")
_TABLE = re.compile(r"(?:table|iceberg)://([\w.-]+)/")


def subject_of(task: Any, error: FaultError) -> str:
    """A connection, a host, an upstream or a dataset; empty where it is not known."""
    for name in _SAID:
        if error.facts.get(name):
            return str(error.facts[name])
    if error.code.startswith("WAREHOUSE_"):
        return _connection(task)
    if error.code.startswith("AWS_"):
        return str(getattr(task, "aws_conn_id", None) or "")
    host = urlsplit(str(error.facts.get("uri") or "")).hostname if error.code.startswith("SOURCE_") else None
    if host and str(error.facts["uri"]).startswith("http"):
        return host
    with suppress(Exception):
        return str(task.subject(error))
    return ""


def _connection(task: Any) -> str:
    """That of the table into which a load goes, or which an operator names."""
    into = getattr(task, "into", "")
    found = _TABLE.match(str(getattr(into, "template", into) or ""))
    names = (found[1] if found else None, getattr(task, "conn_id", None), getattr(task, "postgres_conn_id", None))
    return next((str(name) for name in names if name), "")
