"""EMR's API over HTTP: requests and answers as botocore's service model has them, refusals as AWS words them.

What an action does is in `actions`; what goes wrong on purpose is `chaos`'s.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, cast

from botocore import xform_name
from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.actions import Actions
from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.clusters import Json
from sluicegate.local.aws.errors import EmrError
from sluicegate.local.aws.fleet import Fleet
from sluicegate.local.aws.model import ShapeTypeError, operations, refusal

_CONTENT = "application/x-amz-json-1.1"
_REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")


class EmrApi:
    """Answers requests to EMR out of a fleet."""

    def __init__(self, fleet: Fleet, chaos: Chaos) -> None:
        self._fleet = fleet
        self._chaos = chaos

    def respond(self, request: Request) -> Response:
        """The response; raises LostAnswerError where chaos wants the connection to break."""
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        try:
            operation = _operation(name)
            weather = self._chaos.on_call(name, self._about(request))
            weather.before()
            asked = _asked(request, operation)
            region = _REGION.search(request.headers.get("Authorization", ""))
            actions = Actions(self._fleet, self._chaos, region[1] if region else "us-east-1")
            answer = getattr(actions, xform_name(name))(asked)
            weather.after()
        except EmrError as error:
            return _error(error)
        return Response(json.dumps(answer, default=_plain), content_type=_CONTENT)

    def _about(self, request: Request) -> str:
        """The name of the cluster that a request is about; empty where it is about none, or several."""
        try:
            asked = json.loads(request.get_data() or b"{}")
        except ValueError:
            return ""
        if not isinstance(asked, dict):
            return ""
        ids = [asked.get("ClusterId") or asked.get("ResourceId") or asked.get("JobFlowId")]
        ids += asked.get("JobFlowIds") or []
        known = [cluster.name for each in ids if each and (cluster := self._fleet.get(str(each))) is not None]
        return known[0] if len(known) == 1 else str(asked.get("Name") or "") if not known else ""


def _operation(name: str) -> Any:
    operation = operations().get(name)
    if operation is None:
        raise EmrError("UnknownOperationException", f"EMR has no action {name!r}.")
    if not hasattr(Actions, xform_name(name)):
        raise EmrError("NotImplemented", f"The local EMR has no {name}.", 501)
    return operation


def _asked(request: Request, operation: Any) -> Json:
    """The request's body, in the shape of the action."""
    try:
        asked = json.loads(request.get_data() or b"{}")
        message = refusal(operation.input_shape, asked)
    except (ValueError, ShapeTypeError) as error:
        raise EmrError("SerializationException", str(error)) from error
    if message is not None:
        raise EmrError("ValidationException", message)
    return {name: value for name, value in cast("Json", asked).items() if value is not None}


def _error(error: EmrError) -> Response:
    body: Json = {"__type": error.code, "message": error.message}
    if error.error_code:
        body["ErrorCode"] = error.error_code
    return Response(json.dumps(body), error.status, content_type=_CONTENT)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    raise TypeError(f"{type(value).__name__} is not a value of EMR's")
