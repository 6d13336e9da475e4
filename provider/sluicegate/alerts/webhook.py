"""A notifier that posts JSON by an Airflow connection: to PagerDuty, Alertmanager, Slack, whatever listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow.sdk import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

    from sluicegate.alerts.message import Alert

__all__ = ["Form", "WebhookNotifier", "payload_of"]

Form = Literal["json", "pagerduty", "alertmanager", "slack"]

_ENDPOINTS = {"pagerduty": "v2/enqueue", "alertmanager": "api/v2/alerts"}
_LASTS = timedelta(hours=24)
"""For how long Alertmanager holds an alert for open, which would resolve it after five minutes."""
_SHOWN = 200


class WebhookNotifier(BaseNotifier):
    """Posts the alert as JSON to the address of an Airflow connection of type HTTP.

    Its password is what the other side asks for: PagerDuty's routing key, the rest of Slack's address; with a login, or
    for the other forms, it is sent as HTTP asks for (basic, or a bearer token without a login). Its extra may have
    `headers`.

    :param http_conn_id: the connection: host (with or without `https://`), port, login, password, extra
    :param endpoint: the path; that of PagerDuty's Events API v2 and of Alertmanager's API v2 are known
    :param form: what is posted, unless `payload` says it
    :param payload: what is posted instead; templates see `alert`
    :param headers: further headers
    :param timeout: seconds for an answer
    """

    template_fields: Sequence[str] = ("http_conn_id", "endpoint", "payload", "headers")

    def __init__(
        self,
        *,
        http_conn_id: str,
        endpoint: str | None = None,
        form: Form = "json",
        payload: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        context: Context | None = None,
    ) -> None:
        super().__init__(context)
        if form not in get_args(Form):
            raise ValueError(f"expected one of {', '.join(get_args(Form))} for `form`, not {form!r}")
        self.http_conn_id = http_conn_id
        self.endpoint = endpoint
        self.form: Form = form
        self.payload = None if payload is None else dict(payload)
        self.headers = dict(headers or {})
        self.timeout = timeout

    def notify(self, context: Context) -> None:
        """Post it; an answer that is not 2xx is an error. No error shows the address, which may be a secret."""
        import httpx

        connection = BaseHook.get_connection(self.http_conn_id)
        alert: Alert | None = context.get("alert")  # type: ignore[assignment]
        body = self.payload if alert is None or self.payload is not None else payload_of(alert, self.form, connection)
        url, headers = _url(connection, self.form, self.endpoint), {**_headers(connection, self.form), **self.headers}
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=self.timeout, follow_redirects=False)
        except httpx.HTTPError as error:
            raise ConnectionError(f"the connection {self.http_conn_id}: {type(error).__name__}: {error}") from None
        if not answer.is_success:
            said = " ".join(answer.text.split())[:_SHOWN]
            raise ConnectionError(f"the connection {self.http_conn_id} answered {answer.status_code}: {said}")


def payload_of(alert: Alert, form: Form, connection: Connection) -> Any:
    """The alert as the other side takes it: its dedupe key is what that groups by."""
    if form == "slack":
        return {"text": alert.slack()}
    if form == "pagerduty":
        return _pagerduty(alert, connection.password or "")
    return _alertmanager(alert) if form == "alertmanager" else alert.as_dict()


def _pagerduty(alert: Alert, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2."""
    links = {"Log": alert.log, "Playbook": alert.playbook}
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": alert.dedupe_key[:255],
        "client": "Sluicegate",
        "payload": {
            "summary": alert.title[:1024],
            "source": alert.pipeline,
            "severity": alert.severity.value,
            "timestamp": alert.at.isoformat(),
            "component": alert.step or alert.pipeline,
            "group": alert.group_key,
            "class": alert.code,
            "custom_details": alert.as_dict(),
        },
        "links": [{"href": href, "text": text} for text, href in links.items() if href.startswith("http")],
    }


def _alertmanager(alert: Alert) -> list[dict[str, Any]]:
    """What Alertmanager's API v2 takes: it groups by labels, and takes equal ones for one alert."""
    labels = {
        "alertname": alert.code, "severity": alert.severity.value, "pipeline": alert.pipeline, "step": alert.step,
        "run_id": alert.run_id or alert.occasion, "fault_class": alert.fault.kind.value, "group": alert.group_key,
        "owner": alert.owner,
    }  # fmt: skip
    return [
        {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {"summary": alert.title, "description": alert.text(), "runbook_url": alert.playbook},
            "generatorURL": alert.log if alert.log.startswith("http") else "",
            "startsAt": alert.at.isoformat(),
            "endsAt": (alert.at + _LASTS).isoformat(),
        }
    ]


def _url(connection: Connection, form: Form, endpoint: str | None) -> str:
    host = connection.host or ""
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    base = host if connection.port is None else _with_port(host, connection.port)
    path = endpoint or _ENDPOINTS.get(form, "")
    if form == "slack" and connection.password:
        path = "/".join(part.strip("/") for part in (path, connection.password) if part)
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base


def _with_port(host: str, port: int) -> str:
    scheme, _, rest = host.partition("://")
    name, slash, path = rest.partition("/")
    return f"{scheme}://{name}{slash}{path}" if ":" in name else f"{scheme}://{name}:{port}{slash}{path}"


def _headers(connection: Connection, form: Form) -> dict[str, str]:
    from base64 import b64encode

    said = connection.extra_dejson.get("headers")
    headers = {str(name): str(value) for name, value in said.items()} if isinstance(said, Mapping) else {}
    if form in ("pagerduty", "slack") or not connection.password:
        return headers
    if connection.login:
        both = b64encode(f"{connection.login}:{connection.password}".encode()).decode()
        return {"Authorization": f"Basic {both}", **headers}
    return {"Authorization": f"Bearer {connection.password}", **headers}
