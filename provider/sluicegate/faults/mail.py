"""Errors of smtplib as faults: by the server's answer where there was one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sluicegate.faults.shape import Match, starts_with

__all__ = ["match"]


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if not starts_with(names, "smtplib.SMTP"):
        return None
    if "smtplib.SMTPAuthenticationError" in names:
        return Match("SOURCE_DENIED")
    if "smtplib.SMTPNotSupportedError" in names:
        return Match("WRONG_USE")
    answers = list(_answers(error))
    if not answers:
        return Match("NETWORK")  # the server hung up
    later = all(400 <= each < 500 or each == -1 for each in answers)  # smtplib's -1: no answer that it understands
    return Match("SOURCE_UNAVAILABLE" if later else "SOURCE_REJECTED", None, {"status": answers[0]})


def _answers(error: BaseException) -> Iterable[int]:
    refused = getattr(error, "recipients", None)
    if isinstance(refused, Mapping):
        return [code for code, _ in refused.values()]
    code = getattr(error, "smtp_code", None)
    return [code] if isinstance(code, int) else []
