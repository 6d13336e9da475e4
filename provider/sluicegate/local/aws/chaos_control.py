"""Chaos from outside: `GET /_sluicegate/chaos` says what goes wrong, POST arms one exact fault, DELETE disarms all.

A request is signed as every other one (`server`). It can make this server's own answers wrong, nothing else.
"""

from __future__ import annotations

import json

from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.clusters import Json
from sluicegate.local.aws.plan import Fault

CONTROL = "/_sluicegate/chaos"

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "fault": str,
    "action": str,
    "times": int,
    "skip": int,
    "seconds": (int, float),
}


class ChaosApi:
    """A `Chaos` over HTTP."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos

    def respond(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self._chaos.arm(**_arguments(request))  # type: ignore[arg-type]
            except ValueError as error:
                return _answer({"error": str(error)}, 400)
        elif request.method == "DELETE":
            self._chaos.disarm()
        elif request.method != "GET":
            return _answer({"error": f"{request.method} is not GET, POST or DELETE."}, 405)
        return _answer(self._chaos.report())


def _arguments(request: Request) -> Json:
    said = json.loads(request.get_data() or b"{}")
    if not isinstance(said, dict) or "fault" not in said:
        raise ValueError('Expected an object with `fault`, as in {"fault": "lost-response"}.')
    for name, value in said.items():
        if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
            raise ValueError(f"{name}={value!r}: expected {', '.join(_FIELDS)}.")
    if said["fault"] not in list(Fault):
        raise ValueError(f"Unknown fault {said['fault']!r}: expected {', '.join(Fault)}.")
    return said


def _answer(body: Json, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
