"""Who asks, and what they may read, by Airflow's own auth manager: its internals are here and in `metadata` only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import resolve_user_from_token
from airflow.configuration import conf
from fastapi import Request

__all__ = ["Allowed", "is_open", "may_read", "user_of"]

_BEARER = "bearer "


@dataclass(frozen=True)
class Allowed:
    """What a user may see."""

    pipelines: frozenset[str]
    import_errors: bool


def is_open() -> bool:
    """Whether anybody may ask, for counts and names."""
    return bool(conf.getboolean("sluicegate", "health_open", fallback=False))


async def user_of(request: Request) -> Any | None:
    """The user of the request's token, or of the session of Airflow's pages; None without either.

    :raises fastapi.HTTPException: for a token that Airflow does not accept
    """
    given = request.headers.get("Authorization", "")
    token = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else None
    token = token if token is not None else request.cookies.get(COOKIE_NAME_JWT_TOKEN)
    return None if not token else await resolve_user_from_token(token)


def may_read(user: Any) -> Allowed:
    """The pipelines that the user may read, and whether Airflow shows them import errors."""
    manager = get_auth_manager()
    return Allowed(
        frozenset(manager.get_authorized_dag_ids(user=user, method="GET")),
        manager.is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=user),
    )
