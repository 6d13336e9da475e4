"""The `alerts:` of a file: channels by name. That a notifier takes its arguments is for the factory to check."""

from __future__ import annotations

import re
from typing import Any

from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.alerts import Channel
from sluicegate.pipeline.read import code
from sluicegate.pipeline.read.validate import invalid_name, mapping, shown, validate
from sluicegate.pipeline.text.source import Report

__all__ = ["read_alerts"]

_AT: Where = ("alerts",)
_TELLING = re.compile(
    r"passw(or)?d|passphrase|secret|(?<!_)token|_token$|api_?key|access_?key|private_?key|routing_?key|integration_?key|"
    r"^authorization$|^auth$",
    re.IGNORECASE,
)
_WITH_PASSWORD = re.compile(r"\w+://[^\s:/@]*:[^\s/@]+@")
_WEBHOOK = re.compile(r"(hooks\.slack\.com|webhook\.office\.com|discord(app)?\.com/api/webhooks)/\S", re.IGNORECASE)
"""An address whose path alone lets in."""
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def read_alerts(value: object, report: Report) -> dict[str, Channel | None]:
    """The channels that are right, and None for those that are switched off."""
    found: dict[str, Channel | None] = {}
    for name, given in mapping(value, _AT, report, "channels by name").items():
        at: Where = (*_AT, name)
        if wrong := invalid_name(name):
            report.error(at, "name", wrong, key=True)
        elif given is None:
            found[name] = None
        elif (channel := _channel(given, at, report)) is not None:
            found[name] = channel
    return found


def _channel(given: object, at: Where, report: Report) -> Channel | None:
    if not isinstance(given, dict):
        report.error(at, "type", f"expected keys and values, not {shown(given)}: {{notifier: import.path, with: …}}")
        return None
    channel = validate(Channel, {key: item for key, item in given.items() if item is not None}, at, report)
    if channel is None:
        return None
    if channel.notifier is None:
        report.error(at, "missing-key", "`notifier` is missing: the import path of a notifier", key=True)
        return None
    before = report.errors
    try:
        code.find_attribute(channel.notifier, report.source.root)
    except code.CodeError as error:
        report.error((*at, "notifier"), "import", str(error), suggestion=error.suggestion)
    _secrets(channel.with_, (*at, "with"), report)
    return channel if report.errors == before else None


def _secrets(value: Any, at: Where, report: Report) -> None:
    """Note each secret that is written out: the file is in git, and Airflow shows it."""
    if isinstance(value, dict):
        for key, item in value.items():
            _secrets(item, (*at, key), report)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _secrets(item, (*at, index), report)
    elif isinstance(value, str) and _is_secret(_key(at), value):
        message = (
            "a secret must not be in a pipeline file: put it into an Airflow connection and name that (`…_conn_id`), "
            "or write `{{ conn.<id>.password }}`"
        )
        report.error(at, "secret", message)


def _key(at: Where) -> str:
    return next((part for part in reversed(at) if isinstance(part, str)), "")


def _is_secret(key: str, value: str) -> bool:
    plain = _TEMPLATE.sub("", value).strip()
    if not plain or key.endswith(("_conn_id", "_connection_id")):
        return False
    return any(found for found in (_TELLING.search(key), _WITH_PASSWORD.search(plain), _WEBHOOK.search(plain)))
