"""A channel's notifier, made when it is called: by its import path, with the file's arguments and the alert's words."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from sluicegate.alerts.message import Alert
from sluicegate.alerts.words import words_for
from sluicegate.pipeline.keys.alerts import Channel

__all__ = ["notify"]

_MARKS = ("{{", "{%", "{#")


def notify(channel: Channel, alert: Alert, context: Mapping[str, Any]) -> None:
    """Send `alert` by the notifier of `channel`. Raises whatever that raises.

    :param context: Airflow's, for the templates in the file's arguments; they see `alert` as well
    """
    module, _, name = (channel.notifier or "").rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    templates = frozenset(kind.template_fields)
    words = {
        name: _literal(value) if name in templates else value
        for name, value in words_for(kind, channel.with_, alert).items()
    }
    notifier = kind(**_copied(channel.with_), **words)
    # What a call of it does, which would also log an error with all that is in its words.
    fields = {name: getattr(notifier, name) for name in notifier.template_fields}
    known = {**context, "alert": alert, **fields}
    notifier.render_template_fields(known)
    notifier.notify(known)


def _literal(value: Any) -> Any:
    """`value` so that a notifier fills in no template: the words of an error are not one."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, str) and any(mark in value for mark in _MARKS):
        from airflow.sdk import literal

        return literal(value)
    return value


def _copied(value: Any) -> Any:
    """What a file says, as values that a notifier may change."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value
