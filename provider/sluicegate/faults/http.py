"""Errors of HTTP clients (requests, httpx, urllib, urllib3, aiohttp) as faults: by status where there was an answer."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

from sluicegate.faults.shape import Match, starts_with

__all__ = ["LATER", "code_of_status", "match", "of_status", "seconds_asked", "untrusted"]

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer the same request otherwise a little later."""
_BY_STATUS = {
    401: "SOURCE_DENIED",
    403: "SOURCE_DENIED",
    407: "SOURCE_DENIED",
    404: "SOURCE_MISSING",
    410: "SOURCE_MISSING",
    412: "SOURCE_CHANGED",
    416: "SOURCE_CHANGED",
}

_ANSWERED = (
    "requests.exceptions.HTTPError",
    "httpx.HTTPStatusError",
    "urllib.error.HTTPError",
    "aiohttp.client_exceptions.ClientResponseError",
)
_CLIENTS = ("requests.", "httpx.", "httpcore.", "urllib.error.", "urllib3.", "aiohttp.", "http.client.")
_BY_NAME = {
    # Before the classes that these derive from: the nearest counts.
    "requests.exceptions.JSONDecodeError": "SOURCE_UNREADABLE",
    "requests.exceptions.ContentDecodingError": "SOURCE_UNREADABLE",
    "requests.exceptions.TooManyRedirects": "SOURCE_REJECTED",
    "requests.exceptions.MissingSchema": "WRONG_USE",
    "requests.exceptions.InvalidSchema": "WRONG_USE",
    "requests.exceptions.InvalidURL": "WRONG_USE",
    "requests.exceptions.InvalidHeader": "WRONG_USE",
    "requests.exceptions.Timeout": "TIMED_OUT",
    "requests.exceptions.ConnectionError": "NETWORK",
    "requests.exceptions.ChunkedEncodingError": "NETWORK",
    "httpx.DecodingError": "SOURCE_UNREADABLE",
    "httpx.TooManyRedirects": "SOURCE_REJECTED",
    "httpx.UnsupportedProtocol": "WRONG_USE",
    "httpx.LocalProtocolError": "WRONG_USE",
    "httpx.InvalidURL": "WRONG_USE",
    "httpx.TimeoutException": "TIMED_OUT",
    "httpx.TransportError": "NETWORK",
    "httpcore.TimeoutException": "TIMED_OUT",
    "httpcore.NetworkError": "NETWORK",
    "urllib3.exceptions.DecodeError": "SOURCE_UNREADABLE",
    "urllib3.exceptions.LocationValueError": "WRONG_USE",
    "urllib3.exceptions.NewConnectionError": "NETWORK",
    "urllib3.exceptions.TimeoutError": "TIMED_OUT",
    "urllib3.exceptions.HTTPError": "NETWORK",
    "aiohttp.client_exceptions.ContentTypeError": "SOURCE_UNREADABLE",
    "aiohttp.client_exceptions.InvalidURL": "WRONG_USE",
    "aiohttp.client_exceptions.TooManyRedirects": "SOURCE_REJECTED",
    "aiohttp.client_exceptions.ServerTimeoutError": "TIMED_OUT",
    "aiohttp.client_exceptions.ClientConnectionError": "NETWORK",
    "aiohttp.client_exceptions.ClientPayloadError": "NETWORK",
    "urllib.error.ContentTooShortError": "NETWORK",
    "http.client.InvalidURL": "WRONG_USE",
    "http.client.HTTPException": "NETWORK",
}
# `raise_for_status` of requests and httpx; what urllib3 says when its own retries are used up.
_STATUS_IN_WORDS = re.compile(r"^(\d{3}) (?:Client|Server) Error\b|\btoo many (\d{3}) error responses\b", re.ASCII)


def code_of_status(status: int) -> str:
    """The fault that an answer with this status, 400 or more, is."""
    later = status in LATER or status >= 500
    return _BY_STATUS.get(status, "SOURCE_UNAVAILABLE" if later else "SOURCE_REJECTED")


def untrusted(error: BaseException) -> bool:
    """Whether the certificate of a server was not accepted; clients keep of that little more than the words."""
    words = str(error)
    return "CERTIFICATE_VERIFY_FAILED" in words or "certificate verify failed" in words.lower()


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if not starts_with(names, *_CLIENTS):
        return None
    by_name = next((code for name in names if (code := _BY_NAME.get(name))), None)
    if by_name is None and starts_with(names, *_ANSWERED):
        return of_status(_status(error), _asked(error))
    if untrusted(error):
        return Match("CERTIFICATE_REFUSED")
    if status := _status_in_words(error):
        return of_status(status)
    return None if by_name is None else Match(by_name)


def of_status(status: int, wait: float | None = None) -> Match:
    facts: dict[str, object] = {"status": status}
    return Match(code_of_status(status), None, facts if wait is None else {**facts, "retry_after": wait})


def seconds_asked(header: str) -> float | None:
    """The seconds that a server asks to wait, by `Retry-After` as a number or a date; None where it does not."""
    said = header.strip()
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _status(error: BaseException) -> int:
    for holder, name in ((getattr(error, "response", None), "status_code"), (error, "status"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int):
            return value
    return _status_in_words(error)


def _asked(error: BaseException) -> float | None:
    answer = getattr(error, "response", None)
    headers: Any = getattr(error if answer is None else answer, "headers", None)
    said = headers.get("Retry-After") if headers is not None else None
    return seconds_asked(said) if isinstance(said, str) else None


def _status_in_words(error: BaseException) -> int:
    """0 where they name none."""
    found = _STATUS_IN_WORDS.search(str(error))
    return int(found[1] or found[2]) if found else 0
