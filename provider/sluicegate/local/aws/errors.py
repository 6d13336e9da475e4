"""What EMR answers instead of a result, and why a step does not run."""

from __future__ import annotations


class EmrError(Exception):
    """An error of EMR's API: its code, the HTTP status, and for some the older `ErrorCode`."""

    def __init__(self, code: str, message: str, status: int = 400, error_code: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.error_code = code, message, status, error_code


def invalid(message: str) -> EmrError:
    """What the older actions say (RunJobFlow, AddJobFlowSteps and others)."""
    return EmrError("ValidationException", message)


def invalid_request(message: str, error_code: str | None = None) -> EmrError:
    """What the newer actions say (DescribeCluster, ListClusters and others)."""
    return EmrError("InvalidRequestException", message, error_code=error_code)


class LostAnswerError(ConnectionError):
    """The call was carried out, and its connection breaks before the client has the answer."""


class StepRejectedError(Exception):
    """The step cannot run here; the message says why and what to do."""
