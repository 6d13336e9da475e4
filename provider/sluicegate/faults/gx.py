"""Errors of Great Expectations as faults. It wraps what its database says: asked only where nothing inside is known."""

from __future__ import annotations

from sluicegate.faults.shape import Match, starts_with

__all__ = ["match"]


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    return Match("CHECK_BROKEN") if starts_with(names, "great_expectations.exceptions.") else None
