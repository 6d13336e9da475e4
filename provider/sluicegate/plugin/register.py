"""The plugin that Airflow finds by its entry point. Every component of Airflow imports it: it imports nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

__all__ = ["SluicegatePlugin"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Lazily:
    """The app, made when it is first asked something: only api-servers ever are."""

    def __init__(self) -> None:
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from sluicegate.plugin.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class SluicegatePlugin(AirflowPlugin):
    """Adds `/sluicegate/…` to the api-server."""

    name = "sluicegate"
    fastapi_apps = [{"app": _Lazily(), "url_prefix": "/sluicegate", "name": "Sluicegate"}]  # noqa: RUF012
