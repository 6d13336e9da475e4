"""Errors of Google's clients as faults: by HTTP status, by class where there was no answer."""

from __future__ import annotations

from sluicegate.faults.shape import Match, starts_with

__all__ = ["match"]

_BY_STATUS = {401: "SOURCE_DENIED", 403: "SOURCE_DENIED", 404: "SOURCE_MISSING", 412: "SOURCE_CHANGED"}


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if starts_with(names, "google.auth.exceptions.TransportError", "google.cloud.storage.exceptions.DataCorruption"):
        return Match("NETWORK")
    if starts_with(names, "google.auth.exceptions."):
        return Match("SOURCE_DENIED")
    if not starts_with(names, "google.api_core.exceptions."):
        return None
    status = getattr(error, "code", None)
    if not isinstance(status, int):
        return Match("SOURCE_UNAVAILABLE")
    later = status in {408, 429} or status >= 500
    code = _BY_STATUS.get(status, "SOURCE_UNAVAILABLE" if later else "SOURCE_REJECTED")
    return Match(code, None, {"status": status})
