"""Airflow's REST API v2: signing in, retries, paging and typed answers. Needs neither Airflow nor the local stack."""

from __future__ import annotations

from sluicegate.api.client import Client
from sluicegate.api.errors import ApiError, NotReachable, Refused
from sluicegate.api.runs import Runs
from sluicegate.api.tokens import Bearer, Login, TokenFile, TokenVariable

__all__ = [
    "ApiError",
    "Bearer",
    "Client",
    "Login",
    "NotReachable",
    "Refused",
    "Runs",
    "TokenFile",
    "TokenVariable",
]
