"""Other factories' files as pipeline files. Text in, text and notes out: imports no Airflow and runs no user code."""

from __future__ import annotations

from sluicegate.migrate.convert import Converted, Options, convert
from sluicegate.migrate.note import Note
from sluicegate.migrate.operators import Known

__all__ = ["Converted", "Known", "Note", "Options", "convert"]
