"""Callbacks of tasks and DAGs: functions by `module:function`, notifiers as objects."""

from __future__ import annotations

from typing import Any

from sluicegate.migrate.item import Item
from sluicegate.migrate.values import Values, callable_of
from sluicegate.pipeline.diagnostics import Where

__all__ = ["CALLBACKS", "callback"]

CALLBACKS = (
    "on_execute_callback", "on_success_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback",
)  # fmt: skip


def callback(key: str, item: Item, values: Values, where: Where) -> dict[str, Any]:
    """`{key: what is called}`; empty, with a note, for a function that is given arguments."""
    listed = item.value if isinstance(item.value, list) else [item]
    found = [made for one in listed if (made := _one(key, one, values, where)) is not None]
    if not found:
        return {}
    return {key: found if isinstance(item.value, list) else found[0]}


def _one(key: str, item: Item, values: Values, where: Where) -> Any:
    if not isinstance(item.value, dict) or "callback" not in item.value:
        return values.plain(item, (*where, key)) if isinstance(item.value, dict) else callable_of(item)
    path = str(item.value["callback"].value)
    given = {name: values.plain(one, (*where, key, name)) for name, one in item.value.items() if name != "callback"}
    last = path.rpartition(".")[2]
    if ".notifications." in path or ".notifiers." in path or last[:1].isupper():
        return {"class": path, "with": given}
    if not given:
        return callable_of(item.value["callback"])
    message = f"`{key}` left out: `{path}` is given {', '.join(given)}. Write a function that needs only the context"
    values.notes.add(item, where, message)
    return None
