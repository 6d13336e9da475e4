"""What can go wrong with a recovery, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate.api.errors import ApiError
from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = ["NotPermitted", "PlanCycle", "PlanInUse", "WrongPlan", "WrongRequest"]


class WrongRequest(ApiError):  # noqa: N818 (what was asked for, not what happened)
    """Filters that cannot be meant: an unknown pipeline, a window that ends before it begins."""

    exit_code = 2

    @classmethod
    def unknown(cls, message: str, word: str, known: Iterable[str], otherwise: str = "") -> WrongRequest:
        """For a word that there is not: the remedy is the one that was meant, or `otherwise`."""
        meant = did_you_mean(word, known)
        return cls(message, f"Did you mean {meant}?" if meant else otherwise)


class WrongPlan(ApiError):  # noqa: N818
    """A file that is not a plan, a plan that was changed or one of another Airflow."""

    exit_code = 2


class PlanCycle(ApiError):  # noqa: N818
    """Instances that wait for each other."""

    exit_code = 1


class PlanInUse(ApiError):  # noqa: N818
    """Somebody else applies this plan, or one with the same DAGs."""

    exit_code = 1


class NotPermitted(ApiError):  # noqa: N818
    """Airflow does not permit this user to do what the plan needs."""

    exit_code = 1
