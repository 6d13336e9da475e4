"""Airflow's own errors as faults; recognised by name, for the command line has no use for Airflow."""

from __future__ import annotations

import re

from sluicegate.faults.aws import code_of_aws
from sluicegate.faults.http import of_status
from sluicegate.faults.shape import Match

__all__ = ["match"]

_BY_NAME = {
    "AirflowTaskTimeout": "TIMED_OUT",
    "AirflowSensorTimeout": "TIMED_OUT",
    "TaskDeferralTimeout": "TIMED_OUT",
    "ParamValidationError": "WRONG_USE",
    "AirflowOptionalProviderFeatureException": "CODE_MISSING",
    "AirflowSecretsBackendAccessDenied": "CONNECTION_MISSING",
    "WaiterNoCredentialsError": "AWS_DENIED",
    "WaiterMaxAttemptsError": "TIMED_OUT",
    "HttpMethodException": "WRONG_USE",
    "S3HookUriParseFailure": "WRONG_USE",
}
_BY_ANSWER = {
    "CONNECTION_NOT_FOUND": "CONNECTION_MISSING",
    "PERMISSION_DENIED": "WRONG_USE",
    "API_SERVER_ERROR": "NETWORK",
}
# Providers' hooks and triggers keep of the error that they met no more than its words: HttpHook's `503:Service
# Unavailable`, and botocore's sentence.
_STATUS = re.compile(r"([45]\d\d):", re.ASCII)
_OF_AWS = re.compile(r"An error occurred \(([\w.]+)\) when calling the (\w+) operation")


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
        if short == "ServerResponseError":  # Airflow's own server, though its class is one of httpx
            return Match("NETWORK" if error.response.status_code >= 500 else "UNKNOWN")  # type: ignore[attr-defined]
        if short == "AirflowException":
            return _in_words(str(error))
    return None


def _in_words(words: str) -> Match | None:
    if said := _OF_AWS.search(words):
        return Match(code_of_aws(said[1], said[2]), None, {"aws_code": said[1], "operation": said[2]})
    return of_status(int(said[1])) if (said := _STATUS.match(words)) else None
