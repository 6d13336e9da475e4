"""The endpoint for monitors: `/sluicegate/health`. 200 when all is well, 503 when somebody has to act.

Airflow adds no authentication to an app of a plugin: what this one answers, and to whom, is decided here.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from sluicegate.health.facts import JournalFacts, SiteFacts
from sluicegate.health.report import Report, document, names_only, report, unknown
from sluicegate.plugin.cache import Shared

__all__ = ["make_app"]

log = logging.getLogger(__name__)

_WELL, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _UNWELL = 200, 401, 403, 404, 503
_METHODS = ["GET", "HEAD"]
"""Many monitors ask for the status alone."""
_KEPT = 10.0
"""Seconds for which one look at Airflow's database serves all who ask."""
_KEPT_JOURNAL = 30.0
_NO_STORE = {"Cache-Control": "no-store"}


def make_app() -> FastAPI:
    """The app that Airflow mounts at `/sluicegate`."""
    app = FastAPI(title="Sluicegate", docs_url=None, redoc_url=None, openapi_url=None)
    looker = _Looker()

    @app.api_route("/health", methods=_METHODS)
    async def health(request: Request) -> JSONResponse:
        return await _answer(looker, request, None)

    @app.api_route("/health/{pipeline}", methods=_METHODS)
    async def health_of_one(request: Request, pipeline: str) -> JSONResponse:
        return await _answer(looker, request, pipeline)

    return app


class _Looker:
    """The facts, looked up at most once in a few seconds."""

    def __init__(self) -> None:
        from sluicegate.plugin.metadata import read_site

        self._site = Shared(read_site, _KEPT)
        self._journals: dict[str, Shared[JournalFacts]] = {}

    def site(self) -> SiteFacts:
        site = self._site.get()
        names = {each.promise.journal for each in site.pipelines if each.promise and each.promise.journal}
        return replace(site, journals={name: self._journal(name) for name in sorted(names)})

    def _journal(self, connection: str) -> JournalFacts:
        from sluicegate.health.journals import read_journal

        if connection not in self._journals:
            self._journals[connection] = Shared(lambda: read_journal(connection), _KEPT_JOURNAL)
        return self._journals[connection].get()


async def _answer(looker: _Looker, request: Request, pipeline: str | None) -> JSONResponse:
    from sluicegate.plugin.users import is_open, may_read, user_of

    try:
        user = await user_of(request)
        if user is None and not is_open():
            return _refused("Not authenticated: send a token of an Airflow user as `Authorization: Bearer …`.")
        site = await run_in_threadpool(looker.site)
        allowed = await run_in_threadpool(may_read, user) if user is not None else None
    except HTTPException as refusal:
        return _refused(str(refusal.detail), refusal.status_code)
    except Exception:
        # That database may be what identifies the caller: the reason is in the log alone.
        log.exception("Airflow's database could not be read for /sluicegate/health")
        return _json(_UNWELL, unknown(datetime.now(UTC)))
    if allowed is not None and site.pipelines and not allowed.pipelines:
        return _refused("You may read no DAG of this Airflow.", _FORBIDDEN)
    found = report(site, may_read=lambda name: allowed is None or name in allowed.pipelines, only=pipeline)
    if pipeline is not None and not found.pipelines:
        return _json(_NOT_FOUND, {"detail": f"There is no pipeline {pipeline} that you may read."})
    return _json(_WELL if found.is_well else _UNWELL, _shown(found, allowed))


def _shown(found: Report, allowed: Any) -> dict[str, Any]:
    if allowed is None:
        return names_only(found)
    return document(found if allowed.import_errors else found.without_files())


def _refused(why: str, status: int = _UNAUTHORIZED) -> JSONResponse:
    return _json(status, {"detail": why}, {"WWW-Authenticate": "Bearer"} if status == _UNAUTHORIZED else {})


def _json(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(content, status, headers={**_NO_STORE, **(headers or {})})
