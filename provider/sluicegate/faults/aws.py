"""botocore's errors as faults: by AWS's error code first, by the HTTP status where the code is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluicegate.faults.http import untrusted
from sluicegate.faults.shape import Match, starts_with

__all__ = ["code_of_aws", "match"]

_THROTTLED = frozenset(
    (
        "BandwidthLimitExceeded",
        "ConcurrentRunsExceededException",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "429",
    )
)
_UNAVAILABLE = frozenset(
    (
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "IDPCommunicationError",
        "ConcurrentModificationException",
        "ConditionalRequestConflict",
        "OperationAborted",
    )
)
_DENIED = frozenset(
    (
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthFailure",
        "AuthorizationError",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "401",
        "403",
    )
)
_NO_RESOURCE = frozenset(("NoSuchBucket", "NoSuchEntity", "NotFoundException", "ResourceNotFoundException"))
_NO_OBJECT = frozenset(("NoSuchKey", "NoSuchVersion", "404"))
_INVALID = frozenset(("ValidationException", "ValidationError", "InvalidRequestException"))

_UNREACHED = (
    "botocore.exceptions.ConnectionError",
    "botocore.exceptions.HTTPClientError",
    "botocore.exceptions.ConnectionClosedError",
    "botocore.exceptions.IncompleteReadError",
    "botocore.exceptions.MetadataRetrievalError",
    "botocore.exceptions.CredentialRetrievalError",
    "botocore.exceptions.ChecksumError",
    "s3transfer.exceptions.",
    "urllib3.exceptions.IncompleteRead",
)
_NO_CREDENTIALS = (
    "botocore.exceptions.NoCredentialsError",
    "botocore.exceptions.PartialCredentialsError",
    "botocore.exceptions.NoAuthTokenError",
    "botocore.exceptions.UnauthorizedSSOTokenError",
    "botocore.exceptions.SSOError",
    "botocore.exceptions.TokenRetrievalError",
)


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if not starts_with(names, "botocore.", "boto3.", "s3transfer.", "urllib3.exceptions.IncompleteRead"):
        return None
    if "botocore.exceptions.ClientError" in names:
        return _client_error(error)
    if "botocore.exceptions.WaiterError" in names:
        return _waiter_error(error)
    if starts_with(names, *_NO_CREDENTIALS):
        return Match("AWS_DENIED")
    if starts_with(names, "botocore.exceptions.SSLError") and untrusted(error):
        return Match("CERTIFICATE_REFUSED")
    if starts_with(names, *_UNREACHED):
        return Match("AWS_UNAVAILABLE")
    if starts_with(names, "botocore.exceptions.BotoCoreError"):
        return Match("AWS_REJECTED")  # no region, a parameter of the wrong type, an unknown profile
    return None  # boto3's own wrap another: the chain goes on


def _client_error(error: BaseException) -> Match:
    response = _mapping(getattr(error, "response", None))
    operation = str(getattr(error, "operation_name", None) or "")
    told = _mapping(response.get("Error"))
    code = str(told.get("Code") or "")
    status = _mapping(response.get("ResponseMetadata")).get("HTTPStatusCode")
    facts = {"aws_code": code, "operation": operation, "status": status}
    return Match(code_of_aws(code, operation, status if isinstance(status, int) else 0), None, facts)


def code_of_aws(code: str, operation: str, status: int = 0) -> str:
    """The fault that an error of AWS is; without a status, by its code alone."""
    if code in _THROTTLED or status == 429:
        return "AWS_THROTTLED"
    if code in _UNAVAILABLE or status >= 500:
        return "AWS_UNAVAILABLE"
    if code in _NO_RESOURCE:
        return "AWS_NOT_FOUND"
    if code in _NO_OBJECT:
        # A HEAD has no body, hence no code but the status: only the operation shows what was missing.
        return "SOURCE_MISSING" if operation in {"GetObject", "HeadObject", "CopyObject"} else "AWS_NOT_FOUND"
    if code in {"PreconditionFailed", "412"} or status == 412:
        return "SOURCE_CHANGED"
    if code == "InvalidObjectState":
        return "AWS_REJECTED"  # archived: its status is 403
    if code in _DENIED or status in {401, 403}:
        return "AWS_DENIED"
    if operation == "RunJobFlow" and code in _INVALID:
        return "CLUSTER_INVALID"
    if code in {"InvalidRange", "416"}:
        return "SOURCE_CHANGED"  # it is shorter than it was
    return "AWS_NOT_FOUND" if status == 404 else "AWS_REJECTED"


def _waiter_error(error: BaseException) -> Match:
    told = _mapping(_mapping(getattr(error, "last_response", None)).get("Error"))
    code = str(told.get("Code") or "")
    if code:
        return Match(code_of_aws(code, ""), None, {"aws_code": code})
    return Match("TIMED_OUT" if "Max attempts exceeded" in str(error) else "AWS_REJECTED")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
