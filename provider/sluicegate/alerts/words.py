"""What an alert says, by the names under which notifiers take it. No notifier is listed here: its signature decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sluicegate.alerts.message import Alert
from sluicegate.runtime.signatures import arguments_of

__all__ = ["given_words", "words_for"]

_TEXTS: Mapping[str, Callable[[Alert], Any]] = {
    "text": Alert.text,
    "message": Alert.text,
    "body": Alert.text,
    "content": Alert.text,
    "description": Alert.text,
    "html_content": Alert.html,
    "subject": lambda alert: alert.title,
    "title": lambda alert: alert.title,
    "summary": lambda alert: alert.title,
    "severity": lambda alert: alert.severity.value,
    "source": lambda alert: alert.pipeline,
    "dedup_key": lambda alert: alert.dedupe_key,
    "dedupe_key": lambda alert: alert.dedupe_key,
    "alias": lambda alert: alert.dedupe_key,
    "group": lambda alert: alert.group_key,
    "component": lambda alert: alert.step or alert.pipeline,
    "class_type": lambda alert: alert.code,
    "custom_details": Alert.as_dict,
    "details": Alert.as_dict,
    "json": Alert.as_dict,
}
_OF_INCIDENTS = frozenset({"source", "group", "component", "class_type"})
"""Names that mean this beside a key alone: elsewhere they may be anything."""
_KEYS = frozenset({"dedup_key", "dedupe_key", "alias"})
_INSTEAD = {"json": ("data",), "details": ("custom_details",)}
"""What takes the place of a name, where the file says that."""


def given_words(kind: type, said: Mapping[str, Any]) -> frozenset[str]:
    """The arguments of the notifier `kind` that an alert fills in where the file says only `said`."""
    takes = arguments_of(kind)
    taken = takes - said.keys() - (frozenset() if takes & _KEYS else _OF_INCIDENTS)
    return frozenset(
        name for name in _TEXTS if name in taken and not any(other in said for other in _INSTEAD.get(name, ()))
    )


def words_for(kind: type, said: Mapping[str, Any], alert: Alert) -> dict[str, Any]:
    """The alert, as the arguments of the notifier `kind` that the file leaves open."""
    is_slack = ".slack." in f"{kind.__module__}."
    return {
        name: alert.slack() if is_slack and name == "text" else _TEXTS[name](alert)
        for name in sorted(given_words(kind, said))
    }
