"""Events in Airflow's log: a line for a person, and what machines filter by as one field beside it, as JSON."""

from __future__ import annotations

from typing import Any, Literal

from sluicegate.faults.redact import redact, redact_facts

__all__ = ["FIELD", "emit"]

FIELD = "sluicegate"
"""The field of a log record that holds an event, so that no name of ours is one of Airflow's: `run_id`, `event`."""


def emit(event: str, line: str, *, level: Literal["info", "warning", "error"] = "info", **fields: Any) -> None:
    """Log `line` with the event's fields, JSON values without secrets; those that are None are left out.

    :param event: what happened, as `step.succeeded`
    """
    import structlog

    known = {"event": event, **{name: value for name, value in fields.items() if value is not None}}
    logger = structlog.get_logger(logger_name="sluicegate.events")
    getattr(logger, level)(redact(line), **{FIELD: redact_facts(known)})
