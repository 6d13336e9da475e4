"""What can go wrong between a command and Airflow's REST API, and what to do about it."""

from __future__ import annotations

__all__ = ["ApiError", "NotReachable", "NotSignedIn", "Refused", "RunFailed", "UnexpectedAnswer", "WrongParam"]


class ApiError(Exception):
    """`remedy` is one sentence for the person who reads it; `exit_code` is that of a command that ends with it."""

    exit_code = 3

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class NotReachable(ApiError):  # noqa: N818 (a state, not an error)
    """No usable answer before the deadline of the call."""


class NotSignedIn(ApiError):  # noqa: N818
    """There is no token, or Airflow does not accept it."""


class Refused(ApiError):  # noqa: N818
    """Airflow answered with an error. `status` is the HTTP status."""

    def __init__(self, message: str, remedy: str, status: int) -> None:
        super().__init__(message, remedy)
        self.status = status


class UnexpectedAnswer(ApiError):  # noqa: N818
    """An answer that is not what Airflow's API v2 answers."""


class WrongParam(ApiError):  # noqa: N818
    """A DAG or a param that does not exist, or a value that cannot be meant."""

    exit_code = 2


class RunFailed(ApiError):  # noqa: N818
    """A run that was waited for has failed."""

    exit_code = 1
