"""Airflow's own errors as faults; recognised by name, for the command line has no use for Airflow."""

from __future__ import annotations

from sluicegate.faults.shape import Match

__all__ = ["match"]

_BY_NAME = {
    "AirflowTaskTimeout": "TIMED_OUT",
    "AirflowSensorTimeout": "TIMED_OUT",
    "TaskDeferralTimeout": "TIMED_OUT",
    "ParamValidationError": "WRONG_USE",
    "AirflowOptionalProviderFeatureException": "CODE_MISSING",
    "AirflowSecretsBackendAccessDenied": "CONNECTION_MISSING",
}
_BY_ANSWER = {
    "CONNECTION_NOT_FOUND": "CONNECTION_MISSING",
    "PERMISSION_DENIED": "WRONG_USE",
    "API_SERVER_ERROR": "NETWORK",
}


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    for name in names:
        if not name.startswith("airflow."):
            continue
        short = name.rpartition(".")[2]
        if code := _BY_NAME.get(short):
            return Match(code)
        if short == "AirflowNotFoundException" and "conn" in str(error).lower():
            return Match("CONNECTION_MISSING")
        if short == "AirflowRuntimeError":
            answer = str(getattr(getattr(getattr(error, "error", None), "error", None), "value", ""))
            return Match(code) if (code := _BY_ANSWER.get(answer)) else None
    return None
