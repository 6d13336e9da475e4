"""Maps any exception to a fault of the catalogue, by type and code, never by imports it does not need."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from sluicegate.faults import airflow, aws, database, files, google, gx, http, mail, system
from sluicegate.faults.errors import FaultError, fault, fault_of
from sluicegate.faults.rules import FaultRule, ruled
from sluicegate.faults.shape import Match, chain, summary, type_names

__all__ = ["classify"]

Rule = Callable[[BaseException, tuple[str, ...]], Match | None]

_RULES: tuple[Rule, ...] = (
    aws.match,
    database.match,
    google.match,
    files.match,
    airflow.match,  # before HTTP: its client of its own server derives from httpx's errors
    http.match,
    mail.match,
    system.match,  # last: many libraries' errors are an OSError or a ValueError as well
)
_WRAPPERS: tuple[Rule, ...] = (gx.match,)
"""Of libraries that wrap what others raise: asked where nothing that they wrap is known."""


def classify(error: BaseException, own: Sequence[FaultRule] = ()) -> FaultError:
    """The fault that `error` is: CODE_BROKEN for a bug, UNKNOWN when no rule matches. Never raises.

    A `FaultError` is returned as it is. Where an error says nothing by itself (`RuntimeError`), what it
    was raised from, or while handling, decides.

    :param own: a pipeline's own rules, which come first; also of a `FaultError` that none of them has made
    """
    found = _classified(error)
    return ruled(error, found, own) or found if own else found


def _classified(error: BaseException) -> FaultError:
    if isinstance(error, FaultError):
        return error
    for rules in (_RULES, _WRAPPERS):
        for link in chain(error):
            if isinstance(link, FaultError):
                # Not the same object: it would be raised from an error that was raised from it.
                found_there = fault_of(link.fault, link.detail, link.facts)
                found_there.where = link.where
                return found_there
            if (found := _matched(link, rules)) is not None:
                detail = found.detail if found.detail is not None else summary(link)
                return fault(found.code, detail, **{"type": type_names(link)[0], **found.facts})
    return fault("CODE_BROKEN" if system.is_bug(error) else "UNKNOWN", summary(error), type=type_names(error)[0])


def _matched(error: BaseException, rules: tuple[Rule, ...]) -> Match | None:
    names = type_names(error)
    for rule in rules:
        # An exception may be of any shape; one that a rule stumbles over is one it does not know.
        with contextlib.suppress(Exception):
            if (found := rule(error, names)) is not None:
                return found
    return None
