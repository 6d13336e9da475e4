"""What can go wrong with a recovery, and what to do about it."""

from __future__ import annotations

from sluicegate.api.errors import ApiError

__all__ = ["NewFailure", "NotPermitted", "PlanCycle", "PlanInUse", "WrongPlan", "WrongRequest"]


class WrongRequest(ApiError):  # noqa: N818 (what was asked for, not what happened)
    """Filters that cannot be meant: an unknown pipeline, a window that ends before it begins."""

    exit_code = 2


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


class NewFailure(ApiError):  # noqa: N818
    """What was reset has failed again."""

    exit_code = 1
