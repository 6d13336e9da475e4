"""The params of a run that are secrets: their values are hidden in Airflow's logs before a step begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sluicegate.faults.redact import is_secret

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["hide_params", "secret_params"]

_SHORTEST = 5
"""Characters, as for Airflow's own masker: without the number of a `max_tokens: 3` a text would say nothing."""

log = logging.getLogger(__name__)


def secret_params(context: Context) -> Mapping[str, Any]:
    """The params with a value whose schema or name says that it is a secret."""
    try:
        given = dict(context.get("params") or {})
    except Exception as unread:
        log.debug("The params could not be read: %s", type(unread).__name__)
        return {}
    return {name: value for name, value in given.items() if value and is_secret(name, _schema(context, name))}


def hide_params(context: Context) -> frozenset[str]:
    """Have Airflow's masker hide the secret params; their values as texts, those that are too short left out."""
    from airflow.sdk.log import mask_secret

    secrets = frozenset(_texts(list(secret_params(context).values())))
    for secret in secrets:
        with suppress(Exception):
            mask_secret(secret)
    return secrets


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool) and len(text := str(value)) >= _SHORTEST:
        yield text


def _schema(context: Context, name: str) -> Mapping[str, Any]:
    dag: Any = context.get("dag")
    with suppress(Exception):
        return dict(dag.params.get_param(name).schema)
    return {}
