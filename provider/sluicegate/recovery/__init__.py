"""Recovery in order, on a person's word: a plan of what would run again, and the carrying out of one.

A plan is data (`definition`); who builds it, who explains it and who carries it out are apart from each other. Needs
Airflow's REST API alone, imports no Airflow, and nothing here is ever called by a DAG, a trigger or a plugin.
"""

from __future__ import annotations

from sluicegate.recovery.definition import Plan
from sluicegate.recovery.on_word import apply
from sluicegate.recovery.planning import plan
from sluicegate.recovery.request import Request, moment, run_key, window_of

__all__ = ["Plan", "Request", "apply", "moment", "plan", "run_key", "window_of"]
